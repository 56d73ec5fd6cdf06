package alipay

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"loginhub/hub/provider"
)

// minKeyBits is the least size of an RSA2 key.
const minKeyBits = 2048

// keys sign the requests and verify the answers (RSA2: PKCS #1 v1.5 with SHA-256).
type keys struct {
	private *rsa.PrivateKey // the application's
	public  *rsa.PublicKey  // Alipay's
}

func readKeys(f *provider.Fields) (k keys) {
	private, public := f.Key("private_key"), f.Key("public_key")
	var err error
	if private != "" {
		if k.private, err = parsePrivate(private); err != nil {
			f.Fail("private_key", err)
		}
	}
	if public != "" {
		if k.public, err = parsePublic(public); err != nil {
			f.Fail("public_key", err)
		}
	}
	return k
}

// ownPublic tells of a mistake that is often made; "" if it is not.
func (k keys) ownPublic() string {
	if !k.public.Equal(k.private.Public()) {
		return ""
	}
	return "public_key is the application's own (应用公钥); Alipay's is needed (支付宝公钥), which the console shows after yours is stored"
}

// der returns the content of the first PEM block of a kind, or of base64 without blocks,
// as Alipay's tool writes keys.
func der(text, kind string) ([]byte, error) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, kind) {
			return block.Bytes, nil
		}
	}
	if strings.Contains(text, "-----") {
		return nil, errors.New("no complete PEM block of a " + kind)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, errors.New("neither PEM nor base64") // the cause is omitted: it tells of the key
	}
	return raw, nil
}

func parsePrivate(text string) (*rsa.PrivateKey, error) {
	raw, err := der(text, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PrivateKey(raw)
	if err != nil {
		parsed, _ := x509.ParsePKCS8PrivateKey(raw)
		key, _ = parsed.(*rsa.PrivateKey)
	}
	if key == nil {
		return nil, errors.New("not an RSA private key in PKCS #1 or PKCS #8")
	}
	return key, checkSize(key.N.BitLen())
}

func parsePublic(text string) (*rsa.PublicKey, error) {
	raw, err := der(text, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKCS1PublicKey(raw); err == nil {
		return key, checkSize(key.N.BitLen())
	}
	parsed, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return nil, errors.New("not a public key; with certificates (证书模式) take the public key mode (公钥模式)")
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return key, checkSize(key.N.BitLen())
}

func checkSize(bits int) error {
	if bits < minKeyBits {
		return fmt.Errorf("%d bits, RSA2 needs %d", bits, minKeyBits)
	}
	return nil
}

// sign adds the parameter sign: over all others that are not empty, sorted, not
// URL-encoded.
//
// https://opendocs.alipay.com/common/02khjm
func (k keys) sign(form url.Values) error {
	var pairs []string
	for name := range form {
		if value := form.Get(name); value != "" {
			pairs = append(pairs, name+"="+value)
		}
	}
	slices.Sort(pairs)
	sum := sha256.Sum256([]byte(strings.Join(pairs, "&")))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	form.Set("sign", base64.StdEncoding.EncodeToString(signature))
	return nil
}

// verify reports whether Alipay signed these bytes.
func (k keys) verify(raw []byte, signature string) bool {
	text, err := base64.StdEncoding.DecodeString(signature)
	sum := sha256.Sum256(raw)
	return err == nil && rsa.VerifyPKCS1v15(k.public, crypto.SHA256, sum[:], text) == nil
}
