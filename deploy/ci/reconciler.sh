#!/bin/sh
# The same jobs for any other CI service, cron or a person:  ci/reconciler.sh validate|plan|apply|drift
#
# Run it inside the API's network, with the store in PostgreSQL (RECONCILER_STORE): without one every run looks like a
# first run, `adopt` objects to every live group, and nothing is written. RECONCILER_STORE, RECONCILER_BIRDEYE_TOKEN and
# RECONCILER_RECEIPT_KEY come from the service's own secrets: give plan and drift the ones that can only read, apply the
# ones that write, and none of them RECONCILER_LEDGER_STORE.
# Each ends with the command's own exit code: `reconciler --help` lists them.
set -eu
case "${1:-}" in
  validate) exec reconciler validate --output text --output junit=validate.xml ;;
  # plan.json is what is reviewed: keep it, and hand it to apply.
  plan) exec reconciler ci plan --out "${2:-plan.json}" ;;
  # Plans anew and carries out what the reviewed plan holds, nothing else. Jobs wait for each other by the store's lock.
  apply) exec reconciler ci apply --approved "${2:?give the reviewed plan}" ;;
  drift) exec reconciler ci drift --no-issues ;;
  *)
    echo "usage: $0 validate | plan [FILE] | apply REVIEWED_PLAN | drift" >&2
    exit 64
    ;;
esac
