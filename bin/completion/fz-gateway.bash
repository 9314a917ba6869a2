# SPDX-License-Identifier: Apache-2.0
# bash completion of fz-gateway
_fz_gateway()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	# readline takes "--option=value" apart
	[ "$cur" = = ] && cur=
	[ "$prev" = = ] && [ "$COMP_CWORD" -ge 2 ] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	COMPREPLY=()
	case $prev in
	--log-format) mapfile -t COMPREPLY < <(compgen -W "human json" -- "$cur") && return ;;
	--metrics) mapfile -t COMPREPLY < <(compgen -W "stdout otel-collector sentry" -- "$cur") && return ;;
	--status-socket) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
	-u | --api-url | -i | --firezone-id | -n | --firezone-name | --health-check-addr | -m | --max-partition-time | --otlp-grpc-endpoint | --metrics-addr) return ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "-u --api-url -i --firezone-id -n --firezone-name --flow-logs --health-check-addr
		--log-format -m --max-partition-time --metrics --metrics-addr --no-check --no-forwarding
		--no-inc-buf --no-telemetry --no-watch --otlp-grpc-endpoint --status-socket
		--validate-checksums -h --help -V --version log reload status doctor help" -- "$cur")
}
complete -F _fz_gateway fz-gateway
