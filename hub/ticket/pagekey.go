package ticket

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
)

// coordinate is the length of a coordinate of P-256, in bytes (RFC 7518, section 6.2.1.2).
const coordinate = 32

// PageKey is the public key of a waiting page: the x coordinate of a point of P-256. Every
// waiting ticket may have one, so y is left out: both points with one x give the same
// shared secret, because ECDH uses only the x coordinate of its product (NIST SP 800-56A,
// section 5.7.1.2).
type PageKey [coordinate]byte

// ParsePageKey returns the key of a JWK (RFC 7517; RFC 7518, section 6.2). Members beyond
// kty, crv, x and y are ignored, except a private key. The error says what is wrong and
// repeats no value.
func ParsePageKey(jwk map[string]json.RawMessage) (*PageKey, error) {
	if _, private := jwk["d"]; private {
		return nil, errors.New("d: a private key must never be sent; make a new key pair and send kty, crv, x and y of its public key")
	}
	for _, want := range [][2]string{{"kty", "EC"}, {"crv", "P-256"}} {
		var got string
		if err := json.Unmarshal(jwk[want[0]], &got); err != nil || got != want[1] {
			return nil, fmt.Errorf("%s: want the string %q", want[0], want[1])
		}
	}
	point := []byte{4} // uncompressed (SEC 1, section 2.3.3)
	for _, name := range []string{"x", "y"} {
		var text string
		err := json.Unmarshal(jwk[name], &text)
		raw, err2 := strict.DecodeString(text)
		if err != nil || err2 != nil || len(raw) != coordinate || len(text) != strict.EncodedLen(coordinate) {
			return nil, fmt.Errorf("%s: want %d characters of base64url, which are %d bytes", name, strict.EncodedLen(coordinate), coordinate)
		}
		point = append(point, raw...)
	}
	if _, err := ecdh.P256().NewPublicKey(point); err != nil {
		return nil, errors.New("x and y are not a point of P-256")
	}
	k := PageKey(point[1 : 1+coordinate])
	return &k, nil
}

// Public returns the key with an even y.
func (k PageKey) Public() (*ecdh.PublicKey, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), append([]byte{2}, k[:]...))
	if x == nil {
		return nil, errors.New("page key: not a point of P-256")
	}
	var point [1 + 2*coordinate]byte
	point[0] = 4 // uncompressed
	copy(point[1:], k[:])
	key, err := ecdh.P256().NewPublicKey(append(point[:1+coordinate], y.FillBytes(point[1+coordinate:])...))
	if err != nil {
		return nil, fmt.Errorf("page key: %w", err)
	}
	return key, nil
}

// MarshalText implements encoding.TextMarshaler.
func (k PageKey) MarshalText() ([]byte, error) { return strict.AppendEncode(nil, k[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *PageKey) UnmarshalText(text []byte) error {
	raw, err := strict.AppendDecode(nil, text)
	if err != nil || len(raw) != coordinate {
		return fmt.Errorf("page key of %d bytes, want %d (%w)", len(raw), coordinate, errors.Join(err, ErrUnknownVersion))
	}
	copy(k[:], raw)
	return nil
}
