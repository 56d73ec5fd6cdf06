package token

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/keys"
)

// Type is the typ of the hub's own tokens. It keeps a JWT of another purpose from being
// accepted as a login (RFC 8725, section 3.11).
const Type = "login+jwt"

// Signer signs with each of its keys. It is safe for concurrent use.
type Signer struct {
	current string // id of the newest master key
	keys    map[keyName]signingKey
	ids     map[string][]byte // HMAC keys of DeriveID, by master key
	public  jose.JSONWebKeySet
}

// keyName names a signing key: the id of a master key, and an algorithm.
type keyName struct{ master, alg string }

// RSAKeys are the RSA keys of a master key.
type RSAKeys struct {
	Signing   *rsa.PrivateKey   // signs RS256; nil: none does
	Published []*rsa.PrivateKey // in the JWKS; with Signing
}

// ErrUnknownKey means that this node does not have the key.
var ErrUnknownKey = errors.New("no such signing key")

// NewSigner returns a signer with these keys, newest first. RSA keys do not derive from
// master keys: rsaKeys has them by the id of a master key.
func NewSigner(masters []keys.MasterKey, rsaKeys map[string]RSAKeys) (*Signer, error) {
	s := &Signer{keys: map[keyName]signingKey{}, ids: map[string][]byte{}}
	var others []jose.JSONWebKey // after the Ed25519 keys: a verifier may read the first keys only
	published := map[string]bool{}
	publish := func(master string, k signingKey) {
		s.keys[keyName{master, tagAlg(k.tag)}] = k
		if !published[k.public.KeyID] {
			others = append(others, k.public)
		}
		published[k.public.KeyID] = true
	}
	if len(masters) > 0 {
		s.current = masters[0].ID()
	}
	for _, m := range masters {
		eddsa, es256, err := derivedKeys(m)
		if err != nil {
			return nil, err
		}
		s.ids[m.ID()] = m.TokenIDs()
		s.keys[keyName{m.ID(), string(jose.EdDSA)}] = eddsa
		s.public.Keys = append(s.public.Keys, eddsa.public)
		s.keys[keyName{m.ID(), string(jose.ES256)}] = es256
		publish(m.ID(), es256)
		for _, private := range rsaKeys[m.ID()].Published {
			rs256, err := newSigningKey(private, jose.RS256, "")
			if err != nil {
				return nil, err
			}
			publish(m.ID(), rs256)
			if private == rsaKeys[m.ID()].Signing {
				s.keys[keyName{m.ID(), string(jose.RS256)}] = rs256
			}
		}
	}
	s.public.Keys = append(s.public.Keys, others...)
	return s, nil
}

// tagAlg is the entry of a key under its tag.
func tagAlg(tag uint32) string { return fmt.Sprintf("#%d", tag) }

// Current returns the id of the newest master key.
func (s *Signer) Current() string { return s.current }

// Sign returns the compact JWT (RFC 7519, RFC 7515) of exactly these claims, signed with
// the master key's key of that algorithm: RS256, ES256 or EdDSA. All nodes return the
// same bytes.
func (s *Signer) Sign(master, typ, alg string, claims []byte) (string, error) {
	key, ok := s.keys[keyName{master, alg}]
	if !ok {
		return "", fmt.Errorf("%s key of kid %.32q: %w", alg, master, ErrUnknownKey)
	}
	return key.jwt(typ, claims)
}

// KeyTag returns the tag of the master key's key of that algorithm, for SignLogin. It is
// 0 for EdDSA.
func (s *Signer) KeyTag(master, alg string) (uint32, error) {
	if alg == "" || alg == string(jose.EdDSA) {
		return 0, nil
	}
	key, ok := s.keys[keyName{master, alg}]
	if !ok {
		return 0, fmt.Errorf("%s key of kid %.32q: %w", alg, master, ErrUnknownKey)
	}
	return key.tag, nil
}

// SignLogin returns a token of the hub's own type. The tag is that of the key, as the
// confirm fixed it; 0 is the master key's Ed25519 key.
func (s *Signer) SignLogin(master string, tag uint32, claims []byte) (string, error) {
	alg := string(jose.EdDSA)
	if tag != 0 {
		alg = tagAlg(tag)
	}
	return s.Sign(master, Type, alg, claims)
}

// DeriveID returns an identifier of 128 bits that every node derives from the text, such
// as a jti. The purpose keeps identifiers of different kinds apart.
func (s *Signer) DeriveID(master, purpose, text string) (string, error) {
	key, ok := s.ids[master]
	if !ok {
		return "", fmt.Errorf("kid %.32q: %w", master, ErrUnknownKey)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("loginhub " + purpose + " " + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]), nil
}

// jwt returns the signed JWT.
func (k signingKey) jwt(typ string, claims []byte) (string, error) {
	head := `{"alg":"` + k.public.Algorithm + `","kid":"` + k.public.KeyID + `","typ":"` + typ + `"}`
	b64 := base64.RawURLEncoding
	text := make([]byte, 0, b64.EncodedLen(len(head))+b64.EncodedLen(len(claims))+2+b64.EncodedLen(256))
	text = append(b64.AppendEncode(text, []byte(head)), '.')
	text = b64.AppendEncode(text, claims)
	signature, err := k.sign(text)
	if err != nil {
		return "", err
	}
	text = append(text, '.')
	return string(b64.AppendEncode(text, signature)), nil
}

// JWKS returns the public keys (RFC 7517), newest first: those of Ed25519 before the
// others.
func (s *Signer) JWKS() jose.JSONWebKeySet { return s.public }
