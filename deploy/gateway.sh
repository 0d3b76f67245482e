#!/bin/sh
# Fills in nginx.conf from the environment, then becomes nginx. POSIX sh: the image it runs in has no other.
# RUN_DIR is where nginx may write, a new directory unless it is given; RESOLVER is a name server, from resolv.conf unless it is given.
set -eu

run=${RUN_DIR:-$(mktemp -d)}
resolver=${RESOLVER:-$(sed -n 's/^nameserver  *//p' /etc/resolv.conf | head -n 1)}
mkdir -p "$run"
sed \
  -e "s|@RUN_DIR@|$run|g" \
  -e "s|@RESOLVER@|${resolver:?no name server in resolv.conf}|g" \
  -e "s|@LISTEN@|${LISTEN:?the address or port to listen on}|g" \
  -e "s|@FRONT@|${FRONT:?host:port}|g" \
  -e "s|@ORDER_SERVICE@|${ORDER_SERVICE:?host:port}|g" \
  -e "s|@STOCK_SERVICE@|${STOCK_SERVICE:?host:port}|g" \
  -e "s|@PAYMENT_SERVICE@|${PAYMENT_SERVICE:?host:port}|g" \
  -e "s|@NOTIFICATION_SERVICE@|${NOTIFICATION_SERVICE:?host:port}|g" \
  -e "s|@COORDINATOR@|${COORDINATOR:?host:port}|g" \
  "$(dirname "$0")/nginx.conf" >"$run/nginx.conf"
exec nginx -e stderr -p "$run" -c "$run/nginx.conf" -g 'daemon off;'
