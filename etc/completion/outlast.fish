# Completion of outlast(1) for fish.
set -l verbs status list show cat log explain retry hold release delete revive sites probe outages outage import \
	policy tls metrics config reload ping check-config salvage passwd simulate version help
complete -c outlast -f
complete -c outlast -n "not __fish_seen_subcommand_from $verbs" -a "$verbs"
complete -c outlast -s c -l config -r -F -d 'configuration'
complete -c outlast -l socket -r -F -d 'control socket'
complete -c outlast -l json -d 'JSON lines'
complete -c outlast -l ids -d 'ids only'
complete -c outlast -l count -d 'how many'
complete -c outlast -l mailq -d 'as mailq'
complete -c outlast -l dry-run -d 'change nothing'
complete -c outlast -s y -l yes -d 'do not ask'
complete -c outlast -l all -d 'everything'
complete -c outlast -l help -d 'help'
complete -c outlast -l version -d 'version'
complete -c outlast -l known-good -d 'what other logs say worked'
complete -c outlast -l untold -d 'whose sender knows nothing yet'
complete -c outlast -l scenario -r -F -d 'world to play'
complete -c outlast -l svg -r -F -d 'plot'
complete -c outlast -l file -r -F -d 'users'
complete -c outlast -l delete -d 'the user goes'
complete -c outlast -l list -d 'names of users'
complete -c outlast -l check -d 'is this the password'
complete -c outlast -l exact -d 'message by message'
complete -c outlast -l estimate -d 'by cohorts'
complete -c outlast -l compare -d 'both'
for option in from to domain site hop older newer size tries code user priority limit reason since until note match outage set seed
	complete -c outlast -l $option -x
end
complete -c outlast -l sort -x -a 'age size next'
complete -c outlast -l state -x -a 'ready waiting held quarantined failed delivered deleted queued finished any'
complete -c outlast -n '__fish_seen_subcommand_from check-config salvage import' -F
complete -c outlast -n '__fish_seen_subcommand_from config' -a 'show diff'
complete -c outlast -n '__fish_seen_subcommand_from outage' -a 'declare extend end report'
