package main

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/client"
)

// applyTokenEncryption sets whether a page must send a key for its token. Call it after the
// delivery is set.
func (c *Config) applyTokenEncryption(site *client.Client, text string) (err error) {
	if site.TokenEncryption, err = oneOf("token_encryption", text, "", client.EncryptionPage, client.EncryptionRequire); err != nil || !site.RequiresPageKey() {
		return err
	}
	if site.DeliversCode() {
		return errors.New("token_encryption require with delivery code: the page gets a code and no token, so nothing is encrypted; remove one of them")
	}
	if c.RecordVersion == 1 {
		return errors.New("token_encryption require needs LOGINHUB_RECORD_VERSION=2, because records of version 1 have no room for the page's key")
	}
	return nil
}

// numbers is the value of number_matching: true, false or auto.
type numbers struct{ on, auto bool }

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *numbers) UnmarshalYAML(n *yaml.Node) error {
	if v.auto = n.Kind == yaml.ScalarNode && n.Value == "auto"; v.auto {
		return nil
	}
	if n.Decode(&v.on) != nil {
		return fmt.Errorf("line %d: number_matching: true, false or auto", n.Line)
	}
	return nil
}

// setNumbers decides whether numbers are compared. A link is opened by one tap, with no
// camera in between: if an app opens the QR code's link, they are by default. given is the
// setting; nil without one.
func (c *Config) setNumbers(site *client.Client, given *numbers, own credentials) error {
	byDefault := own.opensLinks(site)
	site.NumberMatching, site.LinkLogin = byDefault, byDefault || given != nil
	if given == nil {
		site.NumbersByDefault = byDefault
		return nil
	}
	site.NumberMatching, site.AutoMatching = given.on, given.auto
	if given.auto && c.RecordVersion == 1 {
		return errors.New("number_matching: auto needs LOGINHUB_RECORD_VERSION=2")
	}
	return nil
}
