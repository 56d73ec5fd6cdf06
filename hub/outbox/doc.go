// Package outbox delivers messages that must survive the death of a node, such as the
// events of logins to a site. The messages wait in queues in the store. Every node
// delivers from all queues.
//
// A message that reports a change is put before the change as prepared (Outbox.Prepare)
// and settled after it (Outbox.Settle), which costs the caller no further call. If the
// node dies in between, another node asks Config.Resolve whether the change took place.
// So a change that was acknowledged never loses its message. A message may be delivered
// more than once, always with the same id; in the ordinary case it is delivered once.
//
// A queue has a Destination, which delivers. Package api/notify has the
// destinations; package hub/redisstore stores the queues.
package outbox
