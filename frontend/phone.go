package frontend

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
)

// phoneMessages is a script whose value is strict JSON.
//
//go:embed page/phone-messages.js
var phoneMessages []byte

// Texts are the texts of the phone pages in one language. A screen's text is its title and
// what the user can do; another one is a string, or strings by key.
type Texts map[string]any

// PhoneTexts returns the texts of the phone pages by language: zh, tw and en.
func PhoneTexts() (map[string]Texts, error) {
	_, text, ok := bytes.Cut(phoneMessages, []byte("export const messages = "))
	if !ok {
		return nil, errors.New("phone-messages.js: no messages")
	}
	var all map[string]Texts
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("phone-messages.js: %w", err)
	}
	return all, nil
}

// languageTags are the BCP 47 tags of the languages, in the order in which the pages
// offer them.
var languageTags = [][2]string{{"zh", "zh-CN"}, {"tw", "zh-TW"}, {"en", "en"}}

// Consent is the data of the sandbox's phone and of the consent page. The script of the
// sandbox's phone fills in what is not here.
type Consent struct {
	Lang   string // zh, tw or en
	T      Texts  // in that language
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
	Same        string // true, false or undefined: phone and computer have the same address
	Browser, OS string
	Requested   string // RFC 3339
	Device      bool   // a device without a browser asks
	Warn        bool   // the addresses differ, and the site wants a warning
}

// Tag returns the page's language as a BCP 47 tag.
func (c Consent) Tag() string { return c.tag(0) }

// NextTag returns the language to which the page can be switched.
func (c Consent) NextTag() string { return c.tag(1) }

func (c Consent) tag(after int) string {
	for i, pair := range languageTags {
		if pair[0] == c.Lang {
			return languageTags[(i+after)%len(languageTags)][1]
		}
	}
	return "en"
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
	QR             bool // the page has the QR code: a computer opens it for a device
	Ticket         string
	WithZH, WithEN string // names of the apps that scan the code
	InZH, InEN     string // the app that has opened the page and cannot log in here; "" for none
	Links          []Link // ways to go on, on this phone
	Opens          bool   // a token in the fragment opens the consent page
}

// Link leads to an app, or to the page of a provider.
type Link struct {
	URL    template.URL
	ZH, EN string
}
