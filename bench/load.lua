-- The load of load.py for wrk: wrk -t1 -c32 -d5s -s load.lua http://HOST:PORT -- TRAFFIC
-- Prints the same JSON object as its last line, and how many answers were errors.
local lines, number = {}, -1

function init(arguments)
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    lines[#lines + 1] = { method = method, path = path, body = body ~= "" and body or nil }
  end
end

function request()
  number = number + 1
  local line = lines[number % #lines + 1]
  if line.body then
    local body = line.body:gsub("{n}", tostring(number))
    return wrk.format(line.method, line.path, { ["Content-Type"] = "application/json" }, body)
  end
  return wrk.format(line.method, line.path)
end

function done(summary, latency, requests)
  local found = summary.errors
  local errors = found.connect + found.read + found.write + found.status + found.timeout
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, errors))
end
