"""Cloud Run, written with Google's client, which is imported when something is written.

What is there is sent with what is declared laid over it; a field that the client does not know yet
is left out.
"""

# ruff: noqa: PLC0415

from infra import manifest
from infra.manifest import Manifest
from infra.names import PLACEHOLDER_IMAGE, Names
from infra.resources.base import Fields, Work


def create_service(work: Work, names: Names, declared: Fields) -> None:
    """Makes the service."""
    from google.cloud import run_v2

    request = run_v2.CreateServiceRequest(
        parent=names.location, service_id=names.name, service=manifest.to_service(declared)
    )
    work.operate("create", lambda: work.cloud.run_services.create_service(request))


def update_service(work: Work, laid: Fields) -> None:
    """Replaces the service."""
    from google.cloud import run_v2

    request = run_v2.UpdateServiceRequest(service=manifest.to_service(laid, unknown=True))
    work.operate("update", lambda: work.cloud.run_services.update_service(request))


def delete_service(work: Work, names: Names) -> None:
    """Deletes the service."""
    name = names.service
    work.operate("delete", lambda: work.cloud.run_services.delete_service(name=name))


def create_job(work: Work, names: Names, shape: Manifest) -> None:
    """Makes the job, with the placeholder."""
    from google.cloud import run_v2

    job = manifest.job(shape, PLACEHOLDER_IMAGE)
    job.name = ""
    request = run_v2.CreateJobRequest(parent=names.location, job_id=names.migrate_job_name, job=job)
    work.operate("create", lambda: work.cloud.run_jobs.create_job(request))


def update_job(work: Work, laid: Fields) -> None:
    """Replaces the job."""
    from google.cloud import run_v2

    request = run_v2.UpdateJobRequest(job=manifest.to_job(laid, unknown=True))
    work.operate("update", lambda: work.cloud.run_jobs.update_job(request))


def delete_job(work: Work, names: Names) -> None:
    """Deletes the job."""
    name = names.migrate_job
    work.operate("delete", lambda: work.cloud.run_jobs.delete_job(name=name))
