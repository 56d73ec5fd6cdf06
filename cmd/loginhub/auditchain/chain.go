// Package auditchain links the lines of an audit file: each line carries the SHA-256 of
// the line before it, and once a minute a signature of that hash. Verify finds a line
// that was changed, removed, inserted or moved.
//
// A chain belongs to one file of one node. It continues after a restart and in the file
// that follows a rotation. A signature proves the lines that were written in the two
// minutes before it. What it does not prove is reported: the lines after the last
// signature, and lines that were signed late, after a crash or a full disk.
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
	// signEvery is the minimum time between two signatures. A node writes a line for it every
	// minute: a second less, so that a timer that fires a little early has its signature too.
	signEvery = time.Minute - time.Second
	// late is the time between a line and its signature, or between two signatures, that is
	// longer than a node which writes needs.
	late    = 2 * time.Minute
	maxTail = 64 << 10 // bytes at the end of a file in which its last line is looked for
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
	// Closing signs every line: the next one is the last.
	Closing bool

	last   link // of the last line; its Previous is the hash of that line itself
	state  *os.File
	signed time.Time
	pause  time.Duration // until the next signature
}

// Start says how a chain begins.
type Start string

// Values of Start.
const (
	Continued Start = "continued" // after the file's last line, or after the line of Save: the file was rotated
	Unknown   Start = "unknown"   // after the file's last line, which Save does not know: the file may be another one
	New       Start = "new"
)

// Open returns the chain of the audit file at path. It continues after the file's last
// line with a link; if the file has none, after the line that Save has named in
// PATH.chain. Otherwise a new chain begins.
func Open(path string) (c *Chain, how Start, err error) {
	c = &Chain{}
	if c.state, err = openState(path + ".chain"); err != nil {
		return nil, "", err
	}
	last, any, err := lastLink(path)
	if err != nil {
		return nil, "", errors.Join(err, c.Close())
	}
	text, err := io.ReadAll(io.LimitReader(c.state, maxTail))
	if err != nil {
		return nil, "", errors.Join(err, c.Close())
	}
	var saved link
	known := json.Unmarshal(text, &saved) == nil && saved.Number > 0 && saved.Number < 1<<53
	switch {
	case last != link{}:
		c.last, how = last, Continued
		if known && (saved.ID != last.ID || saved.Number > last.Number || saved.Number == last.Number && saved != last) {
			how = Unknown
		}
	case known && !any:
		c.last, how = saved, Continued
	default:
		id := make([]byte, 8)
		rand.Read(id) // never fails
		c.last, how = link{ID: hex.EncodeToString(id)}, New
	}
	return c, how, nil
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
		if time.Since(c.signed) >= c.pause || c.Closing {
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
	return out, errs
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
		c.signed, c.pause = now, min(c.pause*60+time.Second, signEvery) // the second one proves the first lines soon
	}
	return text, nil
}

// Save writes PATH.chain, once the lines of Append are in the file. The text has one
// length: a shorter number would leave the end of a longer text.
func (c *Chain) Save() error {
	text, err := json.Marshal(c.last)
	if err != nil {
		return err
	}
	_, err = c.state.WriteAt(fmt.Appendf(nil, "%-160s\n", text), 0)
	return err
}

// entry is a line of the audit.
type entry struct {
	Time time.Time `json:"time"`
	link `json:"chain"`
}

// parse returns a line that has a link.
func parse(line []byte) (entry, error) {
	var l entry
	if err := json.Unmarshal(line, &l); err != nil {
		return entry{}, err
	}
	if l.Number <= 0 || l.Number >= 1<<53 || l.ID == "" {
		return entry{}, errors.New("it has no chain")
	}
	return l, nil
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// lastLink returns the link that continues after the file's last line with a link; zero
// without one. any reports whether the file has lines. An incomplete line, of a process
// that ended while it wrote it, is ended first.
func lastLink(path string) (last link, any bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, os.ErrNotExist) {
		return link{}, false, nil
	}
	if err != nil {
		return link{}, false, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return link{}, false, err
	}
	tail := make([]byte, min(end, maxTail))
	if _, err := f.ReadAt(tail, end-int64(len(tail))); err != nil {
		return link{}, false, err
	}
	if len(tail) > 0 && tail[len(tail)-1] != '\n' {
		if _, err := f.Write([]byte("\n")); err != nil {
			return link{}, false, err
		}
	}
	for line := range bytes.Lines(tail) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if l, err := parse(line); err == nil {
			last = link{ID: l.ID, Number: l.Number, Previous: hash(line)}
		}
	}
	return last, len(tail) > 0, nil
}
