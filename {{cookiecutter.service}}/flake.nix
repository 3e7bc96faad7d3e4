{
  description = "Development shell of {{ cookiecutter.service }}: nix develop";

  # flake.lock, written by the first run, pins it: commit it.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { nixpkgs, ... }:
    let
      systems = [
        "aarch64-darwin"
        "aarch64-linux"
        "x86_64-darwin"
        "x86_64-linux"
      ];
      forEachSystem =
        shell: nixpkgs.lib.genAttrs systems (system: shell nixpkgs.legacyPackages.${system});
    in
    {
      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.google-cloud-sdk
            pkgs.postgresql_17
            pkgs.python313
            pkgs.uv
          ];

          # The interpreters that uv downloads do not start on NixOS.
          UV_PYTHON = pkgs.python313.interpreter;
          UV_PYTHON_DOWNLOADS = "never";

          # Wheels with C++ in them look for its library where NixOS has none.
          shellHook = pkgs.lib.optionalString pkgs.stdenv.isLinux ''
            export LD_LIBRARY_PATH=${pkgs.lib.makeLibraryPath [ pkgs.stdenv.cc.cc ]}
          '';
        };
      });
    };
}
