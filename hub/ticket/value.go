package ticket

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// SealValue encrypts a value that waits outside of the hub, in a browser or at a site,
// under the current key. purpose separates kinds of values. The result is base64url: the
// key's id, then nonce and ciphertext (XChaCha20-Poly1305).
func (r *Keyring) SealValue(purpose string, value []byte) (string, error) {
	k := r.keys[r.current]
	aead, err := chacha20poly1305.NewX(k.Request)
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", purpose, err)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(value)+chacha20poly1305.Overhead)
	rand.Read(nonce) // never fails (crypto/rand, Go 1.24)
	sealed := aead.Seal(nonce, nonce, value, valueData(purpose, k.ID))
	return k.ID + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenValue returns a value that SealValue has encrypted for that purpose under one of
// the keys. It returns ErrBrokenSeal for everything else.
func (r *Keyring) OpenValue(purpose, text string) ([]byte, error) {
	for id, k := range r.keys {
		encoded, found := strings.CutPrefix(text, id)
		if !found || len(text) > MaxSealed {
			continue
		}
		sealed, err := strict.DecodeString(encoded)
		if err != nil || len(sealed) < chacha20poly1305.NonceSizeX {
			continue
		}
		aead, err := chacha20poly1305.NewX(k.Request)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", purpose, err)
		}
		if value, err := aead.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], valueData(purpose, id)); err == nil {
			return value, nil
		}
	}
	return nil, fmt.Errorf("open %s: %w", purpose, ErrBrokenSeal)
}

// valueData returns the associated data of a value.
func valueData(purpose, kid string) []byte { return []byte("loginhub value " + purpose + " " + kid) }
