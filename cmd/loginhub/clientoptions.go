package main

import (
	"errors"

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
