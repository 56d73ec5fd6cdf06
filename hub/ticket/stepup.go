package ticket

// AutoMatching says whether a ticket demands numbers only if its login is unusual
// (number_matching: auto). The scan decides, and the scanned version has the result in
// NumberMatching.
type AutoMatching uint8

// Values of Ticket.Auto. Zero: NumberMatching says it from the start.
const (
	_          AutoMatching = iota
	AutoOn                  // numbers if the login is unusual
	AutoHidden              // the browser's address is hidden: every login is unusual
)

// Risk is what is unusual about a login. The zero value demands numbers, so that they are
// demanded of a login that nothing has judged.
type Risk uint8

// Risks of a login, and NoRisk.
const (
	RiskNewBrowser    Risk = iota // the user has not logged in with this browser before
	RiskHiddenAddress             // of the browser or the phone
	RiskCountry                   // browser and phone are in different countries
	NoRisk
)

// risks are the names in the audit log and the metrics.
var risks = [...]string{"new_browser", "hidden_address", "country", "none"}

// String implements fmt.Stringer.
func (r Risk) String() string { return risks[int(r)%len(risks)] }

// Risks returns the names of all risks.
func Risks() []string { return risks[:NoRisk] }

// KnownTags are the tags of the users whom a ticket's browser knows (Keyring.KnownUsers).
type KnownTags []byte

// WithRisk returns the pending ticket with numbers demanded, if its client demands them of
// unusual logins and r is one. Every other ticket is returned unchanged: what a scan has
// decided stays.
func (t Ticket) WithRisk(r Risk) Ticket {
	if t.State == Pending && t.Auto != 0 && r != NoRisk {
		t.NumberMatching = true
	}
	return t
}

// mayBeUsual reports whether any user's login can be without a risk.
func (t Ticket) mayBeUsual() bool { return t.Auto == AutoOn && t.Known != nil && len(*t.Known) > 0 }

// ShowsCode reports whether the view has the number of number matching: the scan has
// decided that one is chosen. With NumberMatching from the start the page has it already.
func (t Ticket) ShowsCode() bool { return t.State == Scanned && t.Auto != 0 && t.NumberMatching }
