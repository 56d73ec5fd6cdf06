// Package redisstore keeps tickets in Redis 7 or later, or Valkey. It contains the
// scripts, the mailbox subscription, and the in-process Redis for a machine without
// one.
//
// It never opens a seal and does not know the rules of a login, which are in package
// hub/ticket. Package hub decides when to subscribe again and when a node is stalled.
//
// Each Lua script uses one key, or keys in one slot, so that a Cluster accepts it:
//
//	create.lua      stores a new ticket
//	attach.lua      reads a ticket and records the node that waits for it
//	change.lua      replaces a ticket's record and publishes it to the recorded nodes
//	probe.lua       writes a node's key and publishes its liveness probe
//	killswitch.lua  writes one client's kill switch
//	setnx.lua       sets a name once, and answers a repeated call as the first time
//	take.lua        reads and removes a secret value
//	nodes.lua       writes a node's line of the list of nodes
//	outbox.lua      changes one queue of the outbox and claims what is due
//
// Keys and channels, with the default prefix (Store.Prefix):
//
//	loginhub:{TICKET}       hash: rec (the sealed record), nodes (up to four node
//	                        ids, oldest first); expires a minute after the deadline
//	loginhub:node:{N}NODE   the node's last probe; shows that this master accepts
//	                        writes; expires after 10 s
//	loginhub:switches       hash: client id to its sealed kill switch
//	                        (hub/killswitch.go)
//	loginhub:mail:NODE      pub/sub channel: the node's mailbox
//	                        (hub/ticket/message.go)
//	loginhub:{bN}:TICKET    the same hash with Store.Sharded: bN is one of 64 buckets
//	                        (buckets.go)
//	loginhub:{bN}:mail:NODE sharded pub/sub channel: the node's mailbox in that bucket
//	                        (sharded.go)
//	loginhub:vault:{NAME}   a small value for all nodes, encrypted, or a name that is
//	                        set once (secrets.go): WeChat's access token, the state
//	                        of a website login, a session of refresh tokens, the used id of an app's assertion
//	loginhub:outbox:{QUEUE}:…
//	                        a queue of package hub/outbox: entries (hash, values
//	                        encrypted), due, since and settled (sorted sets);
//	                        expire two days after the last put (outbox.go)
//
// Only the sealed record is trusted: a change compares the version and the deadline
// that its caller read under the seal, not separate fields of the hash.
package redisstore
