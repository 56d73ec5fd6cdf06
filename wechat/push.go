package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrForged means that WeChat did not send an event, or not now.
var ErrForged = errors.New("wechat: not an event of WeChat")

// pushWindow is how far the time of an event may differ from now.
const pushWindow = 5 * time.Minute

// Push checks the events that WeChat sends to the server of an official account, and
// writes the replies. It is safe for concurrent use.
//
// https://developers.weixin.qq.com/doc/service/guide/dev/push/
type Push struct {
	appID string
	token *string
	block cipher.Block // of the EncodingAESKey; nil: events are not encrypted
	iv    []byte
}

// Event is what has happened to a follower.
type Event struct {
	Account string `xml:"ToUserName"` // the account's original id, gh_…
	OpenID  string `xml:"FromUserName"`
	Created int64  `xml:"CreateTime"` // Unix seconds
	Type    string `xml:"MsgType"`
	Name    string `xml:"Event"`
	Key     string `xml:"EventKey"`
	Encrypt string `xml:"Encrypt"`
}

var (
	pushToken = regexp.MustCompile(`^[A-Za-z0-9]{3,32}$`)
	pushKey   = regexp.MustCompile(`^[A-Za-z0-9]{43}$`)
)

// NewPush returns the checker of an account, with the Token and the EncodingAESKey of
// WeChat's console. Without a key it takes plain events, with a key encrypted ones only.
//
// The signature of a plain event does not cover its body. Somebody who has one signed
// request can send any event for as long as its time is valid.
func NewPush(appID, token, aesKey string) (*Push, error) {
	p := &Push{appID: appID, token: &token}
	if !pushToken.MatchString(token) {
		return nil, errors.New("wechat config: the Token has 3 to 32 letters and digits")
	}
	if aesKey == "" {
		return p, nil
	}
	key, err := base64.StdEncoding.DecodeString(aesKey + "=")
	if err != nil || !pushKey.MatchString(aesKey) {
		return nil, errors.New("wechat config: the EncodingAESKey has 43 letters and digits")
	}
	p.block, err = aes.NewCipher(key)
	p.iv = key[:aes.BlockSize]
	return p, err
}

// Echo answers the check of the server's address, a GET.
func (p *Push) Echo(q url.Values, now time.Time) ([]byte, error) {
	echo := q.Get("echostr")
	if p.block == nil || q.Get("msg_signature") == "" {
		return []byte(echo), p.verify(q, q.Get("signature"), now)
	}
	if err := p.verify(q, q.Get("msg_signature"), now, echo); err != nil {
		return nil, err
	}
	return p.decrypt(echo)
}

// Open returns the event in a POST.
func (p *Push) Open(q url.Values, body []byte, now time.Time) (e Event, err error) {
	if p.block == nil {
		if err = p.verify(q, q.Get("signature"), now); err == nil {
			err = e.parse(body)
		}
	} else if err = e.parse(body); err == nil {
		if err = p.verify(q, q.Get("msg_signature"), now, e.Encrypt); err == nil {
			// In compatible mode the body has the event in clear too, which is not signed.
			body, err = p.decrypt(e.Encrypt)
		}
		if e = (Event{}); err == nil {
			err = e.parse(body)
		}
	}
	if err == nil && !plausibleID(e.OpenID) {
		err = fmt.Errorf("no usable FromUserName: %w", ErrForged)
	}
	return e, err
}

// Scene returns the scene of the code that the user has scanned, as a follower or by
// following; "" for any other event.
func (e Event) Scene() string {
	switch {
	case e.Type != "event":
		return ""
	case e.Name == "SCAN":
		return e.Key
	case e.Name == "subscribe" && strings.HasPrefix(e.Key, "qrscene_"):
		return strings.TrimPrefix(e.Key, "qrscene_")
	}
	return ""
}

// Reply returns the body that shows a text to the user of an event.
func (p *Push) Reply(e Event, text string, now time.Time) ([]byte, error) {
	type cdata struct {
		Text string `xml:",cdata"`
	}
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"xml"`
		To      cdata    `xml:"ToUserName"`
		From    cdata    `xml:"FromUserName"`
		Created int64    `xml:"CreateTime"`
		Type    cdata    `xml:"MsgType"`
		Content cdata    `xml:"Content"`
	}{To: cdata{e.OpenID}, From: cdata{e.Account}, Created: now.Unix(), Type: cdata{"text"}, Content: cdata{text}})
	if err != nil || p.block == nil {
		return body, err
	}
	sealed, at, nonce := p.encrypt(body), strconv.FormatInt(now.Unix(), 10), rand.Text()
	return xml.Marshal(struct {
		XMLName   xml.Name `xml:"xml"`
		Encrypt   cdata    `xml:"Encrypt"`
		Signature cdata    `xml:"MsgSignature"`
		Time      string   `xml:"TimeStamp"`
		Nonce     cdata    `xml:"Nonce"`
	}{Encrypt: cdata{sealed}, Signature: cdata{p.sign(at, nonce, sealed)}, Time: at, Nonce: cdata{nonce}})
}

// parse reads an event. encoding/xml reads no external entity; a document type, which
// WeChat does not send, is refused.
func (e *Event) parse(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("malformed XML: %w: %w", err, ErrForged)
		}
		if _, is := token.(xml.Directive); is {
			return fmt.Errorf("XML with a directive: %w", ErrForged)
		}
	}
	if err := xml.Unmarshal(body, e); err != nil {
		return fmt.Errorf("malformed XML: %w: %w", err, ErrForged)
	}
	return nil
}

// verify checks the signature over the token, time, nonce and further values, and the
// time.
func (p *Push) verify(q url.Values, signature string, now time.Time, more ...string) error {
	at, err := strconv.ParseInt(q.Get("timestamp"), 10, 64)
	want := p.sign(q.Get("timestamp"), append(more, q.Get("nonce"))...)
	switch {
	case len(q["timestamp"]) > 1 || len(q["nonce"]) > 1 || subtle.ConstantTimeCompare([]byte(want), []byte(signature)) != 1:
		return fmt.Errorf("wrong signature: %w", ErrForged)
	case err != nil || now.Sub(time.Unix(at, 0)).Abs() > pushWindow:
		return fmt.Errorf("signed at another time than now: %w", ErrForged)
	}
	return nil
}

// sign returns the SHA-1 of the sorted values, as WeChat defines it.
func (p *Push) sign(timestamp string, more ...string) string {
	all := append([]string{*p.token, timestamp}, more...)
	slices.Sort(all)
	sum := sha1.Sum([]byte(strings.Join(all, "")))
	return hex.EncodeToString(sum[:])
}

// padTo is the block size of WeChat's PKCS #7, twice that of AES.
const padTo = 32

// head is the length of the random bytes and of the number before a message.
const head = 16 + 4

// decrypt returns the message in a value whose signature was verified.
func (p *Push) decrypt(text string) ([]byte, error) {
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sealed) < padTo || len(sealed)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("malformed ciphertext: %w", ErrForged)
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(p.block, p.iv).CryptBlocks(plain, sealed)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > padTo || pad > len(plain)-head {
		return nil, fmt.Errorf("malformed padding: %w", ErrForged)
	}
	plain = plain[:len(plain)-pad]
	length := uint64(binary.BigEndian.Uint32(plain[head-4:]))
	plain = plain[head:]
	if length > uint64(len(plain)) || string(plain[length:]) != p.appID {
		return nil, fmt.Errorf("encrypted for another account: %w", ErrForged)
	}
	return plain[:length], nil
}

// encrypt returns a message as WeChat decrypts it.
func (p *Push) encrypt(message []byte) string {
	plain := make([]byte, 16, head+len(message)+len(p.appID)+padTo)
	rand.Read(plain) // never fails (crypto/rand, Go 1.24)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(message)))
	plain = append(append(plain, message...), p.appID...)
	pad := padTo - len(plain)%padTo
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(p.block, p.iv).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}
