package provider

import (
	"context"
	"log/slog"
	"time"
)

// Kind is a kind of provider. One table lists all kinds (cmd/loginhub); everything that
// the program knows of a provider comes from here.
type Kind struct {
	Name  string // value of `kind` in the clients file
	Label Label  // what people call it
	// AppLabel is what people call the app that scans its codes; zero: as Label.
	AppLabel Label
	Token    TokenForm // how tokens name its users

	// How its users log in: a phone brings a code of the provider's app to the hub, a
	// browser brings one back from the provider's page, or both.
	ByPhone, ByRedirect bool
	// CodeParam is the query parameter in which a browser brings the code back;
	// "" means code (RFC 6749, section 4.1.2).
	CodeParam string
	// StartPath and CallbackPath are the paths of a website login that is older than
	// /api/connect/ID, for the provider whose id is Name; "" for none.
	StartPath, CallbackPath string
	// InAgent reports whether a User-Agent is that of the provider's own app, in whose
	// browser Access.InApp works; nil: the provider has no such app.
	InAgent func(userAgent string) bool
	// DesktopPage means that the page of Access.Redirect shows a QR code for a phone, so
	// that it is of no use on the phone itself.
	DesktopPage bool
	// QR is the value of LOGINHUB_QR with which the provider draws the QR codes
	// (Access.Pictures), with Env.Pictures; "" if it draws none.
	QR string
	// ByEvents means that the provider learns of scans by notifications (Access.Events): only a
	// code that it draws itself leads to it.
	ByEvents bool
	// PhoneNumber means that the provider gives phone numbers (Access.Phone).
	PhoneNumber bool
	// MessageField checks a field of a message's template and its text. nil: the provider
	// sends no messages (Access.Messages).
	MessageField func(field, text string) error
	// PictureHosts are the hosts of its users' pictures: "name", or "*.name" for all below
	// it. The hub's pages load no picture from another host; none: no picture.
	PictureHosts []string
	// TicketBound means that a code names the ticket that it confirms. A code that is
	// refused for one ticket may be valid for another.
	TicketBound bool
	// PublicURL means that the provider must know the hub's public URL.
	PublicURL bool
	// Development means that anyone can log in as anyone. Such a provider is used if no
	// other is configured; the clients file cannot name it.
	Development bool
	// Calls is the name of the service in metrics, loginhub_CALLS_calls_total; "" means
	// that its calls are not counted. Kinds of one service share it.
	Calls string

	// Read reads the configuration. Missing and invalid fields are recorded in f.
	Read func(f *Fields) Config
}

// Label is a name for people, in two languages.
type Label struct{ ZH, EN string }

// ScanLabel returns what people call the app that scans the codes of the kind.
func (k Kind) ScanLabel() Label {
	if k.AppLabel != (Label{}) {
		return k.AppLabel
	}
	return k.Label
}

// Config is the valid configuration of one provider.
type Config interface {
	// Open creates what the configuration needs. It sends no request: a node starts
	// without the provider, and reports errors at the first login.
	Open(Env) (Access, error)
	// Check tries the configuration against the provider, for `loginhub check`. Env has
	// no Store then.
	Check(context.Context, Env) []Finding
}

// Env is what the program gives to a provider.
type Env struct {
	ID        string      // of the provider in the configuration
	PublicURL string      // what browsers see; "" if none is configured
	Audience  string      // the issuer of the hub's tokens
	Store     SharedStore // nil in a check
	Log       *slog.Logger
	Calls     CallMetrics // nil: calls are not counted
	// Pictures means that some QR code is to be a picture of the provider's.
	Pictures bool
	// Templates are the templates of messages that clients use, with their fields. Only in a
	// check.
	Templates map[string]map[string]string
}

// SharedStore keeps small values for all nodes. They are encrypted and bound to their
// names.
type SharedStore interface {
	// Now returns the time of a clock that all nodes share.
	Now() time.Time
	// Load returns the value of a name, or nil if there is none.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save stores a value that expires after life.
	Save(ctx context.Context, name string, value []byte, life time.Duration) error
	// SetNX returns true for the first of all nodes that sets the name, until life is
	// over.
	SetNX(ctx context.Context, name string, life time.Duration) (bool, error)
}

// CallResult is how a call of a provider ended: its error code and what is to be done
// about it. Both are from a fixed set, because they are labels of a metric.
type CallResult struct{ Code, Reaction string }

// CallMetrics counts the calls of one service.
type CallMetrics interface {
	// Start creates the series of a call, so that a rate sees their first event.
	Start(call string, results []CallResult)
	// Observe counts one call, of the context's request.
	Observe(ctx context.Context, call string, r CallResult, took time.Duration)
}

// Severity says whether a finding needs a change.
type Severity string

// The severities.
const (
	OK   Severity = "ok"
	Warn Severity = "warn" // works, or is not known; look at it
	Fail Severity = "FAIL" // needs a change
)

// Finding is one line of `loginhub check`. Text says what was found and what to do; it
// contains no secret.
type Finding struct {
	Severity      Severity
	Subject, Text string
}
