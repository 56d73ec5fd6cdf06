package frontend

// Index is the data of the login page.
type Index struct {
	Brand          Brand
	Messages       Texts      // of the page, see Catalogue.LoginMessages
	Sandbox        bool       // shows a link to the sandbox's phone, and that this is a sandbox
	Client         string     // client_id
	Site           string     // the site's name in the page's language
	Label, LabelEn string     // the site's name in Chinese and English
	PublicURL      string     // the issuer of the tokens
	Providers      []Provider // the providers that the client takes, in the order of the configuration
	Request        string     // of an authorization request: tickets are made with it
	Host           string     // of the site that asks; "" for an app
	InApp          string     // path of the form that logs in inside the app that shows the page; "" for none
}

// Provider is a provider with which users log in.
type Provider struct {
	ID, Kind         string
	LabelZH, LabelEN string // the provider
	Named            bool   // the label is of the configuration, not of the kind
	Start            string // path of the form that opens the provider's page; "" for none
	Desktop          bool   // that page is of no use on a phone
	Twin             bool   // another provider with a Start has the same label
}

// WebLoginResult is the data of the last page of WeChat's website login.
type WebLoginResult struct {
	Confirmed bool // false: the user refused
}

// Device is the data of the page where a device's code is typed.
type Device struct {
	Code  string // what the person has typed
	Wrong bool   // it is no code of a device that waits
}

// Form is the data of the page that posts the answer of a login to its site.
type Form struct {
	Action string
	Fields map[string]string
}

// Logout is the data of the page of a logout.
type Logout struct {
	Label  string // the site's name; "" if it is not known
	Ask    bool   // the page asks first, with a form that posts Fields
	Fields map[string]string
}

// Failure is the data of the error page: the fields of the problem document (RFC 9457).
type Failure struct {
	Status              int
	Code, Title, Detail string
	RequestID           string // for the operator
}

// Text is the key of the error's text in the catalogue.
func (f Failure) Text(known Texts) string {
	switch {
	case f.Code == "method_not_allowed":
		return "not_found"
	case known[f.Code] != nil:
		return f.Code
	case f.Status == 503:
		return "unavailable"
	}
	return "other"
}
