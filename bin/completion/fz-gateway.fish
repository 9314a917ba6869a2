# SPDX-License-Identifier: Apache-2.0
# fish completion of fz-gateway
complete -c fz-gateway -f
complete -c fz-gateway -s u -l api-url -r -d 'portal to sign in at'
complete -c fz-gateway -s i -l firezone-id -r -d 'identity of this gateway'
complete -c fz-gateway -s n -l firezone-name -r -d 'name that administrators see'
complete -c fz-gateway -l flow-logs -d 'log every flow'
complete -c fz-gateway -l health-check-addr -r -d 'where health checks are answered'
complete -c fz-gateway -l log-format -r -a 'human json' -d 'format of log lines'
complete -c fz-gateway -s m -l max-partition-time -r -d 'give up after this much waiting for a portal that was lost'
complete -c fz-gateway -l metrics -r -a 'stdout otel-collector sentry' -d 'where metrics go'
complete -c fz-gateway -l no-check -d 'skip the check of privileges at the start'
complete -c fz-gateway -l no-inc-buf -d 'do not raise the system\'s limits for socket buffers'
complete -c fz-gateway -l no-telemetry -d 'send no reports'
complete -c fz-gateway -l no-watch -d 'do not connect to the portal again when the network changes'
complete -c fz-gateway -l otlp-grpc-endpoint -r -d 'collector of metrics'
complete -c fz-gateway -l validate-checksums -d 'warn of wrong checksums in packets from the tunnel device'
complete -c fz-gateway -s h -l help -d 'show this text'
complete -c fz-gateway -s V -l version -d 'show the version'
