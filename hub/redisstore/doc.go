// Package redisstore keeps tickets in Redis 7 or later, or Valkey: the sealed
// record, three scripts on one key each, the mailbox subscription, and the
// in-process Redis for a machine without one.
//
// It does not know what a record says: the rules live in package hub/ticket,
// and it never opens a seal. It does not decide when to subscribe anew or when
// a node is deaf: package hub does.
//
// What is in Redis, with the prefix as it is by default (Store.Prefix):
//
//	loginhub:{TICKET}       hash: rec (the sealed record), nodes (up to four node
//	                        ids, oldest first); expires a minute after its deadline
//	loginhub:node:{N}NODE   the node's proof that this master takes writes; 10 s
//	loginhub:switches       hash: client to its sealed switch (hub/switches.go)
//	loginhub:mail:NODE      pub/sub channel, the node's mailbox (hub/message.go)
//	loginhub:vault:{NAME}   a small value for all nodes, encrypted, or a claim on a
//	                        name (secrets.go): WeChat's access token, the state of a
//	                        website login, the used-up id of an app's assertion
//
// Nothing beside the record is believed: version and deadline are compared with
// what the caller read under its seal, not with a field that stands beside it.
package redisstore
