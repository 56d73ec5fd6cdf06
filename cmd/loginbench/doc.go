// Command loginbench loads a login hub and measures it.
//
// It uses HTTP and WebSocket as pages and phones do, and imports no package of
// the hub, so that any client would measure the same. (Only --provider wechat uses
// the tests' imitation of WeChat.) It also reads CPU and memory from the operating
// system, Redis's INFO and the nodes' /metrics.
//
//	idle    what a waiting page costs
//	attach  what a new page costs
//	storm   all pages lose their connection at once and reconnect
//	push    confirm to token at a steady rate, beside idle pages
//	logins  whole logins in a closed loop: CPU of each process, live heap
//	nodes   the same on 1, 2, 4 and 8 nodes
//	poll    what the same costs if pages poll
//	peers   push, and the same through nginx with nchan, in one run
//	floor   attach, logins and push, and the same on a bare hub of the same
//	        libraries that seals, checks and signs nothing, in turns
//	oauth   whole logins: plain, OpenID Connect's code flow, the device grant
//	devices confirm to token of golang.org/x/oauth2's device flow
//
// It starts a redis-server and nodes of its own, or uses those that --hub names.
// It reports its own CPU beside theirs: they share one machine, and a run in which
// the generator uses most of it measures the generator.
//
//	main.go    flags, commands      cluster.go what is measured: nodes, Redis
//	conn.go    HTTP connections     frame.go   WebSocket frames
//	page.go    one browser          login.go   one login, page and phone
//	wechat.go  the imitation WeChat bare/      the bare hub
//	idlepages.go  many idle pages   idle.go, push.go, logins.go, nchan.go, baseline.go  the scenarios
//	oauth.go, devices.go  the scenarios of OpenID Connect and the device grant
//	proc.go    CPU and memory of a process, Redis's commands
//	usage.go   differences of those
//	stats.go, report.go  quantiles; table, JSON
package main
