#!/bin/sh
# What a script of gcloud commands reads to know that there is nothing to do: the resources of one
# service but Cloud Run's, whose calls gcloud sends elsewhere. Arguments: project, region, service.
set -eu
project=$1 region=$2 service=$3
accounts=iam.gserviceaccount.com
secret=$service-db-password

gcloud services list --enabled --project "$project" --format json
for role in run build migrate; do
    gcloud iam service-accounts describe "$service-$role@$project.$accounts" --format json
done
gcloud projects get-iam-policy "$project" --format json
gcloud storage buckets describe "gs://$project-$service-source" --format json
gcloud storage buckets get-iam-policy "gs://$project-$service-source" --format json
gcloud artifacts repositories describe "$service" --location "$region" --format json
gcloud artifacts repositories get-iam-policy "$service" --location "$region" --format json
gcloud secrets describe "$secret" --format json
gcloud secrets get-iam-policy "$secret" --format json
gcloud secrets versions list "$secret" --format json
gcloud sql instances describe "$service" --format json
gcloud sql databases describe "$service" --instance "$service" --format json
gcloud sql users list --instance "$service" --format json
