// Command loginbench loads a login hub and measures it.
//
// It talks HTTP and WebSocket as pages and phones do, and imports nothing of the
// hub's: what it measures, any client would. (The imitation WeChat of --provider
// wechat is the tests'.) What it reads beside that is the
// operating system's (CPU, memory), Redis's INFO and the nodes' /metrics.
//
//	idle    what a waiting page costs
//	attach  what it costs that a page comes
//	storm   all pages are cut off at once and come back
//	push    confirm to token at a steady rate, with idle pages beside
//	logins  whole logins as fast as they go: CPU of each process, live heap
//	nodes   the same on 1, 2, 4 and 8 nodes
//	poll    what all that costs where pages ask instead
//	peers   push, and the same through nginx with nchan, in one run
//	floor   attach, logins and push, and the same on a bare hub of the same
//	        libraries that seals, checks and signs nothing, in turns
//
// It starts a redis-server and nodes of its own, or takes what --hub names. It
// reports its own CPU beside theirs: on one machine they share it, and a run in
// which it is the greater part measures the generator.
//
//	main.go    flags, commands      stand.go   what is measured: nodes, Redis
//	line.go    HTTP connections     frame.go   WebSocket frames
//	page.go    one browser          login.go   one login, page and phone
//	wechat.go  the imitation WeChat bare/      the bare hub
//	crowd.go   many idle pages      idle.go, push.go, logins.go, nchan.go, floor.go  the scenarios
//	proc.go    what the system says of a process, Redis of its commands
//	mark.go    differences of those
//	stats.go, report.go  quantiles; table, JSON, progress bar
package main
