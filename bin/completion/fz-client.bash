# SPDX-License-Identifier: Apache-2.0
# bash completion of fz-client
_fz_client()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

	# readline takes "--option=value" apart
	[ "$cur" = = ] && cur=
	[ "$prev" = = ] && [ "$COMP_CWORD" -ge 2 ] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	COMPREPLY=()
	case $prev in
	--dns-control) mapfile -t COMPREPLY < <(compgen -W "disabled etc-resolv-conf systemd-resolved" -- "$cur") && return ;;
	-l | --log-dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur") && return ;;
	--log-format) mapfile -t COMPREPLY < <(compgen -W "human json" -- "$cur") && return ;;
	--metrics) mapfile -t COMPREPLY < <(compgen -W "stdout otel-collector sentry" -- "$cur") && return ;;
	--token-path) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
	--status-socket) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
	-u | --api-url | -i | --firezone-id | --firezone-name | -m | --max-partition-time | --otlp-grpc-endpoint | --metrics-addr) return ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "--activate-internet-resource -u --api-url --check --dns-control --exit -i --firezone-id
		--firezone-name --flow-logs --inc-buf -l --log-dir --log-format -m --max-partition-time
		--metrics --metrics-addr --no-check --no-telemetry --no-watch --otlp-grpc-endpoint
		--status-socket --token-path -h --help -V --version sign-in sign-out standalone log
		reload status doctor help" -- "$cur")
}
complete -F _fz_client fz-client
