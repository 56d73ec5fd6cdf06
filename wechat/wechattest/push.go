package wechattest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Mode is how the console of an official account says that events are sent.
type Mode int

// The modes. Compatible sends an event in clear and encrypted.
const (
	Plain Mode = iota
	Compatible
	Safe
)

// Event is one that WeChat sends to an account's server.
type Event struct {
	AppID, User string
	Name, Key   string // SCAN and the scene, subscribe and qrscene_ with the scene
	Mode        Mode
	Created     int64 // Unix seconds; 0: now
}

// pushWait is how long WeChat waits for a reply; pushTries is how often it sends an event.
const (
	pushWait  = 5 * time.Second
	pushTries = 3
)

// Scan does what a user does who scans the QR code with that content: a follower causes
// SCAN, another user follows and causes subscribe. ok is false if the code has expired.
func (s *Server) Scan(content, user string, mode Mode) (e Event, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := s.sceneCodes[content]
	if !s.now().Before(code.expires) {
		return e, false
	}
	e = Event{AppID: code.appID, User: user, Name: "SCAN", Key: code.scene, Mode: mode, Created: s.now().Unix()}
	id := code.appID + " " + s.OpenID(code.appID, user)
	if _, follows := s.followers[id]; !follows {
		s.followers[id] = user
		e.Name, e.Key = "subscribe", "qrscene_"+code.scene
	}
	return e, true
}

// Request returns query and body of an event's POST.
func (s *Server) Request(e Event) (url.Values, []byte) {
	s.mu.Lock()
	app := s.apps[e.AppID]
	s.mu.Unlock()
	at, nonce := strconv.FormatInt(s.now().Unix(), 10), rand.Text()[:10]
	if e.Created == 0 {
		e.Created = s.now().Unix()
	}
	openid := s.OpenID(e.AppID, e.User)
	text := "<ToUserName><![CDATA[gh_" + e.AppID[2:14] + "]]></ToUserName>\n<FromUserName><![CDATA[" + openid + "]]></FromUserName>\n<CreateTime>" +
		strconv.FormatInt(e.Created, 10) + "</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[" + e.Name + "]]></Event>\n<EventKey><![CDATA[" + e.Key + "]]></EventKey>\n"
	q := url.Values{"signature": {sign(app.Token, at, nonce)}, "timestamp": {at}, "nonce": {nonce}, "openid": {openid}}
	if e.Mode == Plain {
		return q, []byte("<xml>" + text + "</xml>")
	}
	sealed := app.seal("<xml>" + text + "</xml>")
	q.Set("encrypt_type", "aes")
	q.Set("msg_signature", sign(app.Token, at, nonce, sealed))
	if e.Mode == Safe {
		text = "<ToUserName><![CDATA[gh_" + e.AppID[2:14] + "]]></ToUserName>\n"
	}
	return q, []byte("<xml>" + text + "<Encrypt><![CDATA[" + sealed + "]]></Encrypt>\n</xml>")
}

// Send sends an event as WeChat does: again if there is no reply within 5 s, three times in
// all. It returns the text that the user sees, "" for an empty reply, and the number of
// tries. Any other reply is an error.
func (s *Server) Send(ctx context.Context, server string, e Event) (text string, tries int, err error) {
	q, body := s.Request(e)
	for tries = 1; tries <= pushTries; tries++ {
		var reply []byte
		if reply, err = post(ctx, server+"?"+q.Encode(), body); err == nil {
			text, err = read(s, e, reply)
			return text, tries, err
		}
	}
	return "", pushTries, err
}

func post(ctx context.Context, to string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pushWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/xml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP status %d: %s", resp.StatusCode, reply)
	}
	return reply, err
}

// read checks a reply and returns its text.
func read(s *Server, e Event, reply []byte) (string, error) {
	if len(reply) == 0 || string(reply) == "success" {
		return "", nil
	}
	s.mu.Lock()
	app := s.apps[e.AppID]
	s.mu.Unlock()
	if e.Mode != Plain {
		var sealed struct{ Encrypt, MsgSignature, TimeStamp, Nonce string }
		if err := xml.Unmarshal(reply, &sealed); err != nil || sealed.MsgSignature != sign(app.Token, sealed.TimeStamp, sealed.Nonce, sealed.Encrypt) {
			return "", fmt.Errorf("reply with a wrong signature: %s %w", reply, err)
		}
		reply = app.open(sealed.Encrypt)
	}
	var m struct{ ToUserName, FromUserName, MsgType, Content string }
	if err := xml.Unmarshal(reply, &m); err != nil {
		return "", fmt.Errorf("reply %q: %w", reply, err)
	}
	if m.ToUserName != s.OpenID(e.AppID, e.User) || m.FromUserName != "gh_"+e.AppID[2:14] || m.MsgType != "text" || m.Content == "" {
		return "", fmt.Errorf("reply %s", reply)
	}
	return m.Content, nil
}

// sign returns WeChat's signature of the values.
func sign(values ...string) string {
	sort.Strings(values)
	return fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(values, ""))))
}

// cipher returns the account's AES key and its IV.
func (a App) cipher() (cipher.Block, []byte) {
	key, err := base64.StdEncoding.DecodeString(a.AESKey + "=")
	if err != nil {
		panic("wechattest: AESKey: " + err.Error())
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("wechattest: AESKey: " + err.Error())
	}
	return block, key[:16]
}

// seal encrypts a message: 16 random bytes, the length, the message, the AppID, padded to
// a multiple of 32.
func (a App) seal(message string) string {
	block, iv := a.cipher()
	size := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	plain := []byte(rand.Text()[:16] + string(size) + message + a.ID)
	pad := 32 - len(plain)%32
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

// open decrypts a message; nil if it is not for this account.
func (a App) open(sealed string) []byte {
	block, iv := a.cipher()
	plain, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(plain) == 0 || len(plain)%32 != 0 {
		return nil
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, plain)
	message, found := bytes.CutSuffix(plain[20:len(plain)-int(plain[len(plain)-1])], []byte(a.ID))
	if !found || int(binary.BigEndian.Uint32(plain[16:])) != len(message) {
		return nil
	}
	return message
}
