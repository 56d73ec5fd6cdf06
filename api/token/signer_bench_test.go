package token_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"strings"
	"testing"

	"loginhub/api/token"
	"loginhub/hub/keys"
)

func BenchmarkSign(b *testing.B) {
	m := keys.NewMasterKey()
	s, err := token.NewSigner([]keys.MasterKey{m}, nil)
	if err != nil {
		b.Fatal(err)
	}
	claims := []byte(`{"iss":"https://login.example.com","aud":"demo","sub":"wechat:wx0123456789abcdef:oABCDEFGHIJKLMNOPQRSTUVWXYZ0","iat":1,"auth_time":1,"exp":301,"jti":"AAAAAAAAAAAAAAAAAAAAAA","amr":["wechat"]}`)
	kid := m.ID()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.SignLogin(kid, 0, claims); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncrypt(b *testing.B) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("x", 600) // as long as a usual token
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (&token.Signer{}).Encrypt(key.PublicKey(), text); err != nil {
			b.Fatal(err)
		}
	}
}
