package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// handshakeKey may be constant: there is no cache between the generator and the hub.
const handshakeKey = "bG9naW5iZW5jaCBsb2dpbg=="

// page is one browser: a ticket, and the socket that waits for it.
type page struct {
	target *target
	Ticket string `json:"ticket"`
	Secret string `json:"secret"`
	// FrameKey makes the frames of a living code, and MatchCode is the number to choose; "" without them.
	FrameKey  string `json:"frame_key"`
	MatchCode string `json:"match_code"`
	line      *conn
}

// view is a ticket's view and the time when the page had read it.
type view struct {
	State string `json:"state"`
	Seq   int64  `json:"seq"`
	Token string `json:"token"`
	// RedirectTo replaces the token if an OpenID site asks, Code with delivery: code.
	RedirectTo string `json:"redirect_to"`
	Code       string `json:"code"`
	MatchCode  string `json:"match_code"` // of a scanned view, with number_matching: auto
	at         time.Time
}

func (v view) final() bool {
	return v.State == "consumed" || v.State == "rejected" || v.State == "expired"
}

// errOver reports that the hub closed the socket after a final view.
var errOver = errors.New("the login is over")

// newPage creates a ticket. header and body are those of its request.
func newPage(ctx context.Context, d *target, header, body string) (*page, error) {
	p := &page{target: d}
	status, answer, _, err := d.call(ctx, "/api/login/tickets", header, body)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, p); err != nil || status != 201 {
		return nil, fmt.Errorf("make: %d %.200s", status, answer)
	}
	return p, nil
}

// path returns the path of one of the ticket's endpoints.
func (p *page) path(what string) string { return "/api/login/tickets/" + p.Ticket + "/" + what }

// attach opens the socket and reads the first view.
func (p *page) attach(ctx context.Context) (view, error) {
	if err := p.upgrade(ctx, p.path("ws"), "Sec-WebSocket-Protocol: loginhub.v1, loginhub.secret."+p.Secret+"\r\n"); err != nil {
		return view{}, err
	}
	v, err := p.next()
	if err != nil {
		p.drop()
		return v, fmt.Errorf("first view: %w", err)
	}
	p.line.SetDeadline(time.Time{})
	return v, nil
}

// upgrade opens a WebSocket (RFC 6455, section 4.1).
func (p *page) upgrade(ctx context.Context, path, header string) error {
	l, err := p.target.dial(ctx, 1<<10) // a view with a token fits
	if err != nil {
		return err
	}
	l.SetDeadline(time.Now().Add(callLimit))
	resp, err := l.roundTrip("GET " + path + " HTTP/1.1\r\nHost: " + p.target.url.Host +
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
		handshakeKey + "\r\n" + p.target.header + header + "\r\n")
	if err == nil && resp.StatusCode != 101 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		err = fmt.Errorf("%s %s", resp.Status, text)
	}
	if err != nil {
		l.Close()
		return fmt.Errorf("attach: %w", err)
	}
	p.line = l
	return nil
}

// message reads the next text message and the time of its arrival. It answers
// pings.
func (p *page) message() ([]byte, time.Time, error) {
	for {
		op, payload, err := readFrame(p.line.r)
		at := time.Now()
		if err != nil {
			return nil, at, err
		}
		switch op {
		case opText:
			return payload, at, nil
		case opPing:
			if _, err := p.line.Write(appendFrame(nil, opPong, payload)); err != nil {
				return nil, at, err
			}
		case opClose:
			p.line.Write(appendFrame(nil, opClose, payload[:min(2, len(payload))])) // an error is harmless: the peer has closed
			if len(payload) >= 2 && payload[0] == 1000>>8 && payload[1] == 1000&0xFF {
				return nil, at, errOver
			}
			return nil, at, fmt.Errorf("closed: %x", payload)
		}
	}
}

// next reads the next view.
func (p *page) next() (view, error) {
	text, at, err := p.message()
	if err != nil {
		return view{}, err
	}
	v := view{at: at}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("view %.100q: %w", text, err)
	}
	return v, nil
}

// await reads views until one has the given state.
func (p *page) await(state string) (view, error) {
	for {
		v, err := p.next()
		if err != nil || v.State == state {
			return v, err
		}
		if v.final() {
			return v, fmt.Errorf("waited for %s and heard %s", state, v.State)
		}
	}
}

// ack acknowledges the token.
func (p *page) ack(seq int64) error {
	_, err := p.line.Write(appendFrame(nil, opText, []byte(`{"ack":`+strconv.FormatInt(seq, 10)+`}`)))
	return err
}

// drop closes the TCP connection without a close frame, as a broken network does.
func (p *page) drop() {
	if p.line == nil {
		return
	}
	if tcp, ok := p.line.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // no TIME_WAIT: the next storm needs the ports
	}
	p.line.Close()
}
