# Completion of outlast(1) for bash.
_outlast() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' i
	local verbs='status list show cat log explain retry hold release delete revive sites probe outages outage import
		policy tls metrics config reload ping check-config salvage passwd simulate version help'
	local conditions='--from --to --domain --site --hop --state --older --newer --size --tries --code
		--user --priority --all --limit'
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --config | --socket | --file) i=$((i + 1)) ;;
		-*) ;;
		*)
			verb=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	case $prev in
	-c | --config | --socket | --file | --known-good | --scenario | --svg)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W 'age size next' -- "$cur")
		return
		;;
	--state)
		local states='ready waiting held quarantined failed delivered deleted queued finished any'
		[[ $verb == sites ]] && states='up suspect down recovering'
		mapfile -t COMPREPLY < <(compgen -W "$states" -- "$cur")
		return
		;;
	--from | --to | --domain | --site | --hop | --older | --newer | --size | --tries | --code | --user | \
		--priority | --limit | --reason | --since | --until | --note | --match | --outage | --set | --seed)
		return
		;;
	esac
	if [[ -z $verb && $cur != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
		return
	fi
	if [[ $cur == -* ]]; then
		case $verb in
		list) conditions+=' --sort --ids --count --mailq' ;;
		retry | hold | release | delete) conditions+=' --dry-run --yes --reason' ;;
		sites) conditions='--state --site --limit --ids --count' ;;
		show | cat | log | explain) ;;
		simulate) conditions='--outage --scenario --size --set --exact --estimate --compare --svg --seed' ;;
		revive) conditions+=' --dry-run --yes --reason --untold' ;;
		outages) conditions='--all --limit --ids --count' ;;
		outage) conditions='--site --match --since --until --note --limit' ;;
		import) conditions='--known-good --dry-run' ;;
		policy) conditions='--site' ;;
		reload) conditions='--dry-run --yes' ;;
		passwd) conditions='--file --delete --list --check' ;;
		*) conditions='' ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$conditions --json --config --socket --help --version" -- "$cur")
		return
	fi
	case $verb in
	show | cat | log | explain | retry | hold | release | delete | revive)
		[[ -n $cur ]] || return
		mapfile -t COMPREPLY < <(compgen -W "$(outlast list --ids --limit 200 2>/dev/null)" -- "${cur^^}")
		;;
	outage)
		case $prev in
		outage) mapfile -t COMPREPLY < <(compgen -W 'declare extend end report' -- "$cur") ;;
		extend | end) mapfile -t COMPREPLY < <(compgen -W "$(outlast outages --ids 2>/dev/null)" -- "$cur") ;;
		report) mapfile -t COMPREPLY < <(compgen -W "$(outlast outages --all --ids 2>/dev/null)" -- "$cur") ;;
		esac
		;;
	config)
		if [[ $prev == diff ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -W 'show diff' -- "$cur")
		fi
		;;
	check-config | salvage | import) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	esac
}
complete -F _outlast outlast
