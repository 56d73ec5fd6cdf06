// Command loginhub is one node of the hub.
//
//	main.go       signals, exit code, the small commands (keygen, version)
//	config.go     every setting: the only place that knows flags and environment
//	check.go      what a setting must be, and how to mend it
//	checkup*.go   `loginhub check`: the settings tried against the world
//	health.go     `loginhub health`: a container's health check
//	clients.go    the clients file
//	providers.go  the wechat package as a provider of package api
//	app.go        wires everything; App.Run is a node's life
//	banner.go     the screen that a newcomer sees
package main
