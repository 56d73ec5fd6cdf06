// Command loginhub runs one node of the hub.
//
//	main.go           signals, exit codes, small commands (keygen, version)
//	config.go         all settings; the only file with flags and environment variables
//	validate.go       the rules for settings, with a hint for each
//	warnings.go       settings that work but are probably a mistake
//	clients.go        the clients file; clientoptions.go, clientevents.go, loginnotice.go, livingcode.go,
//	                  openidclients.go, branding.go: options of a client
//	credentials.go    accounts of the deployment and of clients
//	check/            `loginhub check`: tests settings against Redis, providers and the public URL; check.go gives it their values
//	health.go         `loginhub health`: the health check of a container
//	login.go          `loginhub login`, with devicelogin/
//	places.go         the GeoIP database
//	app.go            connects all parts; App.Run runs a node
//	providers.go      adapts package wechat to package api
//	reload.go         reads files again on SIGHUP or after a change
//	publicserver.go   the public listener, and how it stops
//	connlimit.go      the limits of connections
//	admin.go          the operator's listener; admin_killswitch.go the kill switch
//	metrics/          Prometheus metrics
//	logs.go           the log and the audit log
//	audit.go          the audit file's chain, with auditchain/, and `loginhub audit`
//	banner.go         the first instructions for a new user
package main
