#!/usr/bin/env bash
# Tries a running shop from outside, in seven checks, each of which passes or fails.
#
#   ./test-choreographed-saga.sh [BASE_URL]        default: http://localhost:8080
#
# Needs bash, curl and jq 1.6. Every run has customers and products of its own, so it may be repeated against a shop that
# is in use; it leaves their orders behind, and a store. Exit 0: all passed; 1: at least one failed; 2: could not try.
# PATIENCE is how many seconds anything may take that happens after the answer (30). OPERATOR_TOKEN must be that of the
# shop if it was started with one, for only operators fill its shelves then.
# shellcheck disable=SC2016  # the dollars in single quotes are jq's
set -uo pipefail

base=${1:-http://localhost:8080}
base=${base%/}
patience=${PATIENCE:-30}
run="try-$(date +%s)-$$-$RANDOM"
sagas=/api/choreographedsaga
services=(order-service stock-service payment-service notification-service coordinator)
series=(
  started_total:counter completed_total:counter failed_total:counter compensation_triggered_total:counter
  compensation_completed_total:counter compensation_failed_total:counter duration_seconds:histogram
  active:gauge steps_total:counter step_duration_seconds:histogram timeouts_total:counter events_total:counter
  retries_total:counter dead_letters_total:counter duplicates_total:counter late_events_total:counter
  oldest_unfinished_seconds:gauge deadline_lag_seconds:gauge stream_lag_entries:gauge stream_pending_entries:gauge
  stream_oldest_pending_seconds:gauge
)

for tool in curl jq; do
  command -v "$tool" >/dev/null || { echo "please install $tool" >&2; exit 2; }
done
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
: >"$scratch/staff"
[[ -z ${OPERATOR_TOKEN-} ]] || printf 'Authorization: Bearer %s\n' "$OPERATOR_TOKEN" >"$scratch/staff"

# The words the checks are written in. A claim that does not hold ends its check.

# fail WHAT: end this check.
fail() {
  echo "     $1"
  [[ -z ${asked-} ]] || echo "     last asked: $asked, answered $status: $(head -c 600 "$scratch/body")"
  exit 1
}

# ask METHOD PATH [CURL-OPTION...]: leaves the answer in $status, $scratch/body and $scratch/headers; 000 is none.
ask() {
  asked="$1 $2"
  : >"$scratch/body"
  status=$(curl --silent --max-time 40 --request "$1" --output "$scratch/body" --dump-header "$scratch/headers" \
    --write-out '%{http_code}' "${@:3}" -- "$base$2") || status=000
}

# answers STATUS METHOD PATH [CURL-OPTION...]: it must answer so; errors must explain themselves as problems.
answers() {
  ask "${@:2}"
  [[ $status == "$1" ]] || fail "expected $1"
  [[ $1 == [23]* ]] || says "a problem with its status and a detail" \
    '.status == $status and (.detail | length > 0)' --argjson status "$1"
}

# says WHAT CLAIM [JQ-OPTION...]: the JSON of the last answer fulfils a claim, in jq's language.
says() {
  holds_true "${@:2}" || fail "it does not say: $1"
}

holds_true() {
  jq -en "$definitions input | [$1] | length > 0 and all" "${@:2}" <"$scratch/body" >/dev/null 2>&1
}

# tell FILTER [JQ-OPTION...]: print something of the last answer.
tell() {
  jq -r "$definitions $1" "${@:2}" <"$scratch/body"
}

# eventually WHAT CLAIM PATH: asking again and again, the claim comes true.
eventually() {
  local until=$((SECONDS + patience))
  while ask GET "$3" && ! holds_true "$2"; do
    ((SECONDS < until)) || fail "not within $patience s: $1"
    sleep 0.1
  done
}

# one CUSTOMER METHOD: the JSON of an order of one piece of a product of our own; it must be stocked.
one() {
  order "$1" "$2" "$run-piece" 1 10.00 10.00 10.00
}

# order CUSTOMER METHOD [PRODUCT QUANTITY UNIT SUM TOTAL]: an order's JSON; without a product the one of the manual.
order() {
  local store=store-1
  [[ $# -gt 2 && $3 != product-1 ]] && store=$run
  printf '{"customerId":"%s","storeId":"%s","paymentMethod":"%s","totalAmount":%s,"items":[{"productId":"%s",' \
    "$1" "$store" "$2" "${7-299.99}" "${3-product-1}"
  printf '"quantity":%s,"unitPrice":%s,"totalPrice":%s}]}' "${4-2}" "${5-149.99}" "${6-299.98}"
}

# place BODY [CURL-OPTION...]: an order that is accepted; leaves $order_id and $saga_id.
place() {
  answers 202 POST /api/orders/choreographed-saga --header 'Content-Type: application/json' --data "$1" "${@:2}"
  says "an order, its saga and that it is pending" \
    '(.orderId | length > 0) and (.sagaId | length > 0) and .status == "Pending"'
  read -r order_id saga_id < <(tell '"\(.orderId) \(.sagaId)"')
}

# ends STATUS: the saga of the last order ends so; leaves its state as the last answer.
ends() {
  eventually "saga $saga_id has ended" '.status | . == "Completed" or . == "Compensated" or . == "Failed"' \
    "$sagas/state/$saga_id"
  says "status $1" '.status == $status' --arg status "$1"
}

# lists QUERY SAGA_ID...: the page of that query holds exactly these sagas, in this order.
lists() {
  answers 200 GET "$sagas/states?$1"
  says "exactly ${*:2}" '[.sagas[].sagaId] == $ARGS.positional' --args "${@:2}"
}

definitions='
  def ms: (.[0:19] + "Z" | fromdateiso8601) * 1000 + (.[20:23] | tonumber);
  def step($name): .steps[] | select(.name == $name);
  # Streams are read side by side, so what the history was told first need not have happened first.
  def in_order($events): .history as $told | [$events[] as $one | first($told[] | select(.type == $one)) | .at | ms]
    | length == ($events | length) and . == sort;
  def order_saga: .processes[] | select(.businessProcess == "order");'

# The seven checks. Each may be run alone.

check_service_health() {
  eventually "everything is ready" '.status == "ready" and all(.services[]; .status == "ready")' /readyz
  answers 200 GET /livez
  answers 200 GET /health
  says "that all is well, and so is each of ${services[*]}" \
    '.status == "ok" and .services as $told | all($ARGS.positional[]; $told[.].status == "ok")' --args "${services[@]}"
  local service
  for service in "${services[@]}"; do
    answers 200 GET "/services/$service/livez"
    answers 200 GET "/services/$service/readyz"
    answers 200 GET "/services/$service/health"
    says "that it is $service, and that its workers work" \
      '.service == $service and .status == "ok" and (.workers | length > 0 and all(.ready))' --arg service "$service"
  done
  answers 404 GET /services/no-such-service/health
}

check_a_successful_saga() {
  # It brings what it takes, so that the demo product never runs out by being tried.
  answers 200 POST /api/stock/store-1/product-1/restock --header 'Content-Type: application/json' \
    --header @"$scratch/staff" --data '{"quantity": 2}'
  place "$(order "$run-happy" CreditCard)"
  local location
  location=$(jq -Rrn '[inputs | select(test("^location:"; "i"))][0] // "" | sub("^[^:]*: *"; "") | rtrimstr("\r")' \
    <"$scratch/headers")
  [[ $location == *"$sagas/state/$saga_id" ]] || fail "Location is '$location', not the saga's state"

  ends Completed
  says "whose saga it is, and nothing left to do" '.sagaId == $saga and .initiatorId == $customer
    and .businessProcess == "order" and .remainingSteps == [] and .waitingFor == null
    and .failedAt == null and .failureReason == null and (.completedAt | ms) >= (.startedAt | ms)' \
    --arg saga "$saga_id" --arg customer "$run-happy"
  says "four steps done by four services, one after the other" '
    [.steps[] | select(.name != "begin") | [.name, .service, .status]] == [
      ["reserve stock", "stock", "Done"], ["charge payment", "payment", "Done"],
      ["confirm order", "order", "Done"], ["notify customer", "notification", "Done"]]
    and all(.steps[]; .error == null and .durationMs >= 0 and .eventIds.done != null)
    and ([.steps[].endedAt | ms] | . == sort)'
  says "the whole story" 'in_order(["OrderCreated", "StockReserved", "PaymentProcessed", "OrderConfirmed",
    "NotificationSent", "SagaCompleted"])'

  answers 200 GET "/api/orders/$order_id"
  says "a confirmed order over 299.99, a cent of it an adjustment" '.status == "Confirmed" and .sagaId == $saga
    and .totalAmount == "299.99" and .adjustment == "0.01" and .items[0].quantity == 2' --arg saga "$saga_id"
  answers 200 GET "/api/payments/$order_id"
  says "that 299.99 were taken" '.status == "Charged" and .amount == "299.99" and (.paymentId | length > 0)'
  answers 200 GET "/api/notifications/$order_id"
  says "that the customer was told once" '[.notices[].status] == ["Sent"]'

  # A client that did not hear the answer asks again, and waits for the end.
  local again="Idempotency-Key: $run"
  stocked "$run-piece" 100
  place "$(one "$run-twice" PayPal)" --header "$again"
  answers 200 POST "/api/orders/choreographed-saga?wait=20" --header "$again" \
    --header 'Content-Type: application/json' --data "$(one "$run-twice" PayPal)"
  says "the same order, confirmed" '.sagaId == $saga and .status == "Confirmed"' --arg saga "$saga_id"
  ends Completed
  lists "initiatorId=$run-twice" "$saga_id"
}

check_statistics_and_metrics() {
  stocked "$run-piece" 100
  answers 200 GET "$sagas/statistics"
  local before after text json
  before=$(tell 'order_saga | tojson')
  place "$(one "$run-counted" BankTransfer)" && ends Completed
  place "$(one "$run-counted" DeclinedCard)" && ends Compensated

  answers 200 GET "$sagas/statistics"
  after=$(tell 'order_saga | tojson')
  says "two more started, one more completed, one more turned back" 'order_saga
    | .started >= $old.started + 2 and .byStatus.Completed >= $old.byStatus.Completed + 1
    and .byStatus.Compensated >= $old.byStatus.Compensated + 1 and .turnedBack >= $old.turnedBack + 1
    and .duration.count >= $old.duration.count + 2' --argjson old "$before"
  says "what each step did" 'order_saga | [.steps[] | {key: .name, value: .}] | from_entries
    | ($old.steps | map({key: .name, value: .}) | from_entries) as $old
    | .["reserve stock"].done >= $old["reserve stock"].done + 2
    and .["reserve stock"].undone >= $old["reserve stock"].undone + 1
    and .["charge payment"].done >= $old["charge payment"].done + 1
    and .["charge payment"].refused >= $old["charge payment"].refused + 1
    and .["notify customer"].done >= $old["notify customer"].done + 1' --argjson old "$before"
  says "rates and durations that agree with the counts" '(., order_saga)
    | .byStatus as $is | ($is.Completed + $is.Compensated + $is.Failed + $is.Aborted) as $ended
    | .ended == $ended and .active == ([$is[]] | add) - $ended
    and ((.successRate - $is.Completed / $ended) | fabs < 0.00001)
    and ((.compensationRate - .turnedBack / .started) | fabs < 0.00001)
    and (.duration | .averageMs > 0 and .p50Ms <= .p95Ms and .p95Ms <= .p99Ms)'

  # What is exported lies between the counts of before and after it was exported.
  answers 200 GET /metrics
  text=$(jq -Rnr '[inputs | select(startswith("# TYPE choreographed_saga_")) | split(" ") | {key: .[2], value: .[3]}]
    | from_entries as $told | $ARGS.positional[] | split(":") as [$name, $type]
    | select($told["choreographed_saga_" + $name] != $type)' --args "${series[@]}" <"$scratch/body")
  [[ -z $text ]] || fail "/metrics lacks, or has as something else: ${text//$'\n'/ }"
  text=$(jq -Rn '[inputs | select(test("^choreographed_saga_[a-z_]+{.*business_process=\"order\"")) | {
      key: split("{")[0] | ltrimstr("choreographed_saga_"), value: split(" ")[-1] | tonumber}]
    | group_by(.key) | map(max_by(.value)) | from_entries' <"$scratch/body")
  answers 200 GET "$sagas/metrics"
  json=$(tell 'map_values([.samples[] | select(.labels.business_process == "order") | .value // .count] | max)
    | with_entries(.key |= ltrimstr("choreographed_saga_")) | .duration_seconds_count = .duration_seconds')
  answers 200 GET "$sagas/statistics"
  says "what /metrics and $sagas/metrics say" 'order_saga | [., $old] | map({started_total: .started,
      completed_total: .byStatus.Completed, failed_total: .byStatus.Failed,
      compensation_triggered_total: .turnedBack, duration_seconds_count: .duration.count}) as [$most, $least]
    | $most | keys[] as $name | ($text, $json)[$name] | . != null and . >= $least[$name] and . <= $most[$name]' \
    --argjson old "$after" --argjson text "$text" --argjson json "$json"
}

check_state_filtering_and_querying() {
  local good bad other mine="initiatorId=$run-filter"
  stocked "$run-piece" 100
  place "$(one "$run-filter" CreditCard)" && ends Completed && good=$saga_id
  place "$(one "$run-filter" invalid_card)" && ends Compensated && bad=$saga_id
  place "$(one "$run-filter-other" CreditCard)" && ends Completed && other=$saga_id

  lists "$mine" "$bad" "$good" # newest first
  lists "initiatorId=$run-filter-other" "$other"
  lists "initiatorId=$run-nobody"
  lists "$mine&status=Completed" "$good"
  lists "$mine&status=Compensated" "$bad"
  lists "$mine&status=Failed"
  lists "$mine&businessProcess=order" "$bad" "$good"
  lists "$mine&businessProcess=no-such-process"
  answers 200 GET "$sagas/states?status=Completed&businessProcess=order&limit=200"
  says "completed orders only, mine among them" '([.sagas[].sagaId] | index($other)) != null
    and all(.sagas[]; .status == "Completed" and .businessProcess == "order")' --arg other "$other"

  local cursor='' page found=''
  for page in 1 2 3 4; do
    answers 200 GET "$sagas/states?$mine&limit=1${cursor:+&cursor=$cursor}"
    says "one saga a page at most" '.sagas | length <= 1'
    found+=$(tell '.sagas[] | .sagaId + " "')
    cursor=$(tell '.next // ""')
    [[ -n $cursor ]] || break
  done
  [[ -z $cursor && $found == "$bad $good " ]] || fail "$page pages of one saga hold '$found', not '$bad $good'"

  answers 200 GET "$sagas/state/$good"
  says "the saga that was asked for" '.sagaId == $good and .initiatorId == $who' --arg good "$good" --arg who "$run-filter"
  local query
  for query in status=NoSuchStatus limit=0 limit=201 limit=many cursor=nonsense; do
    answers 422 GET "$sagas/states?$query"
    says "which parameter is wrong" '.detail | startswith($name)' --arg name "${query%=*}"
  done
}

check_date_range_filtering() {
  local first second first_ms second_ms first_text mine="initiatorId=$run-dates"
  stocked "$run-piece" 100
  place "$(one "$run-dates" CreditCard)" && ends Completed && first=$saga_id
  first_ms=$(tell '.startedAt | ms') first_text=$(tell .startedAt)
  place "$(one "$run-dates" CreditCard)" && ends Completed && second=$saga_id
  second_ms=$(tell '.startedAt | ms')
  ((first_ms < second_ms)) || fail "the second saga started at $second_ms, not after $first_ms"

  lists "$mine&from=$first_ms&to=$second_ms" "$second" "$first" # both ends belong to the range
  lists "$mine&from=$second_ms" "$second"
  lists "$mine&to=$first_ms" "$first"
  lists "$mine&from=$first_text&to=$first_text" "$first"
  lists "$mine&from=2000-01-01T00:00:00Z" "$second" "$first"
  lists "$mine&from=2000-01-01T00:00:00Z&to=2000-12-31T23:59:59%2B02:00"
  lists "$mine&from=$((second_ms + 1))"
  lists "$mine&to=$((first_ms - 1))"
  lists "$mine&status=Completed&from=$((first_ms + 1))&to=$second_ms" "$second"
  answers 200 GET "$sagas/states?from=$first_ms&to=$second_ms&limit=200"
  says "only what began in the range" \
    'all(.sagas[]; (.startedAt | ms) as $at | $at >= $from and $at <= $to) and (.sagas | length >= 2)' \
    --argjson from "$first_ms" --argjson to "$second_ms"
  local query
  for query in from=yesterday to=2026-13-01T00:00:00Z from=2026-01-01; do
    answers 422 GET "$sagas/states?$query"
    says "which parameter is wrong" '.detail | startswith($name)' --arg name "${query%=*}"
  done
}

check_compensation_tracking() {
  # A product of our own, so that what is held and given back can be counted.
  stocked "$run-undone" 5
  place "$(order "$run-declined" DeclinedCard "$run-undone" 2 10.00 20.00 20.00)"
  ends Compensated
  says "why, and when" '(.failureReason | test("charge payment.*declined")) and .completedAt == null
    and (.failedAt | ms) >= (.startedAt | ms) and .remainingSteps == [] and .waitingFor == null'
  says "which steps were undone, and which never happened" '
    (step("reserve stock") | .status == "Undone" and .undoStatus == "Undone" and .eventIds.undone != null)
    and (step("charge payment") | .status == "Refused" and .undoStatus == null and (.error | test("declined")))
    and (step("confirm order") | .status == "Pending") and (step("notify customer") | .status == "Pending")'
  says "the way back, newest step first" 'in_order(["OrderCreated", "StockReserved", "PaymentFailed",
    "SagaCompensationStarted", "StockReleased", "OrderCancelled", "SagaCompensationCompleted"])
    and all(.history[].type; . != "PaymentProcessed" and . != "OrderConfirmed")'
  holds "$run-undone" 5 0
  answers 200 GET "/api/orders/$order_id"
  says "a cancelled order" '.status == "Cancelled" and .settledAt != null'
  answers 200 GET "/api/payments/$order_id"
  says "that nothing was taken" '.status == "Refused" and .paymentId == ""'
  eventually "the customer is told of the cancellation" '[.notices[].kind] == ["Cancellation"]' \
    "/api/notifications/$order_id"

  # A customer changes his mind while the provider takes its time.
  place "$(order "$run-regret" SlowProvider "$run-undone" 3 10.00 30.00 30.00)"
  answers 202 POST "/api/orders/$order_id/cancel" --header 'Content-Type: application/json' \
    --data '{"reason":"changed my mind"}'
  ends Compensated
  says "who asked for it, and that the confirmation is barred" '(.failureReason | test("changed my mind"))
    and (step("confirm order") | .status == "Barred")
    and any(.history[]; .type == "OrderCancellationRequested" and .reason == "changed my mind")
    and in_order(["SagaCompensationStarted", "OrderCancelled", "SagaCompensationCompleted"])'
  holds "$run-undone" 5 0
  lists "status=Compensated&initiatorId=$run-regret" "$saga_id"
}

check_error_handling() {
  local body case who="$run-wrong"
  answers 404 GET "$sagas/state/no-such-saga"
  answers 404 GET /api/orders/no-such-order
  answers 404 POST /api/orders/no-such-order/cancel
  answers 404 GET /api/no-such-route
  answers 405 DELETE "$sagas/states"

  # What cannot be an order begins no saga.
  local post=(POST /api/orders/choreographed-saga --header 'Content-Type: application/json' --data)
  answers 400 "${post[@]}" '{"customerId": "'
  answers 422 "${post[@]}" '{}'
  says "each field that is missing" '[.errors[].field] | contains(["customerId", "storeId", "paymentMethod", "items"])'
  answers 422 "${post[@]}" "$(order "$who" NoSuchMethod)"
  says "which field is wrong" '[.errors[].field] == ["paymentMethod"]'
  for case in "0 149.99 0.00" "1000001 0.01 10000.01" "-1 149.99 149.99" "2 149.99 299.97" "2 0.00 0.00"; do
    read -ra body <<<"$case"
    answers 422 "${post[@]}" "$(order "$who" CreditCard product-1 "${body[@]}" "${body[2]}")"
  done
  answers 422 "${post[@]}" "$(order "$who" CreditCard product-1 2 149.99 299.98 400.00)"
  says "both sums" '.detail | contains("400.00") and contains("299.98")'
  lists "initiatorId=$who"

  # What cannot be delivered ends as failed, and costs nothing.
  place "$(order "$who" CreditCard product-1 999999 149.99 149989850.01 149989850.01)"
  ends Failed
  says "the shortage" '(.failureReason | test("shortage"; "i")) and (step("reserve stock") | .status == "Refused")
    and (step("charge payment") | .status == "Pending") and in_order(["StockReservationFailed", "OrderCancelled",
    "SagaFailed"])'
  answers 404 GET "/api/payments/$order_id"
  place "$(order "$who" CreditCard product-1 1 1.00 1.00 1.00)"
  ends Failed
  says "that clients do not name prices" '.failureReason | test("price changed")'
  stocked "$run-scarce" 1
  place "$(order "$who" CreditCard "$run-scarce" 2 10.00 20.00 20.00)"
  ends Failed
  holds "$run-scarce" 1 0

  # What is confirmed stays so.
  place "$(order "$who" CreditCard "$run-scarce" 1 10.00 10.00 10.00)"
  ends Completed
  answers 409 POST "/api/orders/$order_id/cancel"
  answers 200 GET "/api/orders/$order_id"
  says "that it is still confirmed" '.status == "Confirmed"'
  holds "$run-scarce" 0 1
}

# stocked PRODUCT PIECES: our store carries a product at 10.00, begun with so many pieces.
stocked() {
  ask PUT "/api/stock/$run/$1" --header 'Content-Type: application/json' --header @"$scratch/staff" \
    --data "{\"quantity\": $2, \"unitPrice\": \"10.00\"}"
  [[ $status != 401 ]] || fail "this shop has operators: set OPERATOR_TOKEN to what it was started with"
  [[ $status == 20[01] ]] || fail "expected 201, or 200 where it is known already"
  says "a product at 10.00" ".initial == $2 and .unitPrice == \"10.00\""
}

# holds PRODUCT AVAILABLE RESERVED: our store has so many pieces of it.
holds() {
  answers 200 GET "/api/stock/$run/$1"
  says "$2 pieces available and $3 reserved" ".available == $2 and .reserved == $3"
}

# One after the other, each in a shell of its own.

echo "trying $base"
failed=''
number=0
for check in check_service_health check_a_successful_saga check_statistics_and_metrics \
  check_state_filtering_and_querying check_date_range_filtering check_compensation_tracking check_error_handling; do
  number=$((number + 1))
  name=${check#check_}
  if told=$("$check"); then
    echo "PASS $number ${name//_/ }"
  else
    echo "FAIL $number ${name//_/ }"
    echo "${told:-     ended without a word}"
    failed+=" $number"
  fi
done
if [[ -n $failed ]]; then
  echo "FAIL: of $number checks these failed:$failed"
  exit 1
fi
echo "PASS: all $number checks passed"
