// Package notify reports what happens to the logins of a client: to the site's webhook,
// as signed events, and to the person, as a message of their app.
//
// The pieces, in the order of a login:
//
//   - The gate calls Notifier.Report for a phone's call. It returns nil for a client that
//     has no reports: then nothing is called and nothing allocated.
//   - The hub calls Report.Prepare before it changes the ticket, and Report.Made after it.
//     Each Source makes the messages about the change (Queued). They go into the outbox
//     before the change as prepared, and are settled after it (package hub/outbox). If the
//     node dies in between, another one reads the ticket (Notifier.Resolve).
//   - Notifier.Suspicious puts an event about a call that changed nothing.
//   - The outbox delivers each queue by its outbox.Destination, which Notifier.Reload sets:
//     "client:ID" by webhook; "notice:PROVIDER" is for the messages of apps, "logout:ID" for
//     the logout tokens of package oidc (Notifier.Put).
//
// A new kind of message is a Source, which makes a message with NewMessage, and an
// outbox.Destination, which reads the body with Body.
package notify
