// Package auditchain links the lines of an audit file: each line carries the SHA-256 of
// the line before it, and once a minute a signature of that hash. Verify finds a line
// that was changed, removed, inserted or moved.
//
// A chain belongs to one file of one node. It continues after a restart and in the file
// that follows a rotation. It does not show that lines were cut off at the end of the
// last file after the last signature that the verifier knows.
package auditchain

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// Type is the typ of a signature, which is a JWT (RFC 7519). Its claims are those of
	// head.
	Type = "loginhub-audit+jwt"
	// signEvery is the minimum time between two signatures. A node writes a line for it if
	// it has no other.
	signEvery = time.Minute
	maxTail   = 64 << 10 // bytes at the end of a file in which its last line is looked for
)

// link is the member "chain" that Append adds to a line.
type link struct {
	ID        string `json:"id"`   // of the chain: 64 random bits
	Number    int64  `json:"n"`    // of the line, from 1
	Previous  string `json:"prev"` // SHA-256 of the line before, base64url; "" in line 1
	Signature string `json:"signature,omitempty"`
}

// head is what a signature covers: all lines before its own.
type head struct {
	ID       string `json:"id"`
	Number   int64  `json:"n"`
	Previous string `json:"prev"`
	Time     int64  `json:"iat"` // Unix seconds
}

// Chain links lines in the order of Append. One goroutine may use it.
type Chain struct {
	// Sign returns a JWT of typ Type with these claims; "" if there is no key yet.
	Sign func(claims []byte) (string, error)

	last   link // of the last line; its Previous is the hash of that line itself
	state  *os.File
	signed time.Time
}

// Open returns the chain of the audit file at path. It continues after the file's last
// line; if the file has none, after the line that PATH.chain names, which Append keeps
// up to date: the file was rotated. Otherwise a new chain begins, and Open reports it.
func Open(path string) (c *Chain, isNew bool, err error) {
	c = &Chain{}
	if c.state, err = os.OpenFile(path+".chain", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, false, err
	}
	line, err := lastLine(path)
	if err != nil {
		return nil, false, err
	}
	if l, err := parse(line); err == nil {
		c.last = link{ID: l.ID, Number: l.Number, Previous: hash(line)}
		return c, false, nil
	}
	if len(line) == 0 {
		text, err := io.ReadAll(io.LimitReader(c.state, maxTail))
		if err != nil {
			return nil, false, err
		}
		if json.Unmarshal(text, &c.last) == nil && c.last.Number > 0 {
			return c, false, nil
		}
	}
	id := make([]byte, 8)
	rand.Read(id) // never fails
	c.last = link{ID: hex.EncodeToString(id)}
	return c, true, c.state.Truncate(0)
}

// Close closes PATH.chain.
func (c *Chain) Close() error { return c.state.Close() }

// Append returns the lines with a link in each. Each is a JSON object and ends with a
// line break. They must be written to the file in this order, or not at all.
func (c *Chain) Append(lines []byte) ([]byte, error) {
	out := make([]byte, 0, len(lines)+len(lines)/2)
	var errs error
	for line := range bytes.Lines(lines) {
		next := link{ID: c.last.ID, Number: c.last.Number + 1, Previous: c.last.Previous}
		if time.Since(c.signed) >= signEvery {
			var err error
			if next.Signature, err = c.sign(next); err != nil {
				errs = err
			}
		}
		member, err := json.Marshal(next)
		if err != nil {
			return nil, err
		}
		start := len(out)
		out = append(out, bytes.TrimSuffix(line, []byte("}\n"))...)
		out = append(append(append(out, `,"chain":`...), member...), "}\n"...)
		c.last.Number, c.last.Previous = next.Number, hash(out[start:len(out)-1])
	}
	return out, errors.Join(errs, c.save())
}

func (c *Chain) sign(l link) (string, error) {
	now := time.Now()
	claims, err := json.Marshal(head{l.ID, l.Number, l.Previous, now.Unix()})
	if err != nil {
		return "", err
	}
	text, err := c.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("sign the audit chain: %w", err)
	}
	if text != "" {
		c.signed = now
	}
	return text, nil
}

// save writes PATH.chain. The text has one length up to the number's, which only grows.
func (c *Chain) save() error {
	text, err := json.Marshal(c.last)
	if err != nil {
		return err
	}
	_, err = c.state.WriteAt(append(text, '\n'), 0)
	return err
}

// parse returns the link of a line.
func parse(line []byte) (link, error) {
	var l struct{ Chain link }
	if err := json.Unmarshal(line, &l); err != nil {
		return link{}, err
	}
	if l.Chain.Number <= 0 || l.Chain.ID == "" {
		return link{}, errors.New("it has no chain")
	}
	return l.Chain, nil
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// lastLine returns the last line of a file that ends with a line break, without it. An
// incomplete line, of a process that ended while it wrote it, is ended first.
func lastLine(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	tail := make([]byte, min(end, maxTail))
	if _, err := f.ReadAt(tail, end-int64(len(tail))); err != nil {
		return nil, err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if whole < len(tail) {
		if _, err := f.Write([]byte("\n")); err != nil {
			return nil, err
		}
	}
	tail = bytes.TrimSuffix(tail[:whole], []byte("\n"))
	return tail[bytes.LastIndexByte(tail, '\n')+1:], nil
}
