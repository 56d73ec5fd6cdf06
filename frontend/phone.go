package frontend

import (
	"fmt"
	"html/template"
)

// Consent is the data of the sandbox's phone and of the consent page. The script of the
// sandbox's phone fills in what is not here.
type Consent struct {
	Brand  Brand
	Ticket string
	Screen string // consent, or the key of an outcome's text
	CSRF   string
	Facts
	Choices []string // numbers to choose from; nil without number matching
	Seconds int64    // left to decide
	As      string   // who logs in, a sentence
}

// Facts say who asks for the login.
type Facts struct {
	Client      string
	Hosts       string
	IP          string
	Place       string // of the address; "" if it is unknown
	Same        string // true, false or undefined: phone and computer have the same address
	Browser, OS string
	Requested   string // RFC 3339
	Device      bool   // a device without a browser asks
	Risk        string // key of the text that warns: farStrong, networkStrong, or "" for none
}

// Left returns the time left as minutes and seconds.
func (c Consent) Left() string { return fmt.Sprintf("%d:%02d", c.Seconds/60, c.Seconds%60) }

// Sign returns the sign of an outcome: good, bad or odd.
func (c Consent) Sign() string {
	switch c.Screen {
	case "confirmed":
		return "good"
	case "rejected":
		return "bad"
	}
	return "odd"
}

// Landing is the data of the page that the QR code links to.
type Landing struct {
	Brand  Brand
	QR     bool // the page has the QR code: a computer opens it for a device
	Ticket string
	Frame  string // of the living code that opened the page; "" for none
	Apps   string // names of the apps that scan the code
	In     string // the app that has opened the page and cannot log in here; "" for none
	Links  []Link // ways to go on, on this phone
	Opens  bool   // a token in the fragment opens the consent page
}

// Link leads to an app, or to the page of a provider.
type Link struct {
	URL  template.URL
	Text string
}
