package auditchain

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine is the longest line that Verify reads, in bytes.
const maxLine = 1 << 20

// Report is what Verify has found.
type Report struct {
	Lines       int64 // with a link
	First, Last int64 // numbers
	Signatures  int64 // valid ones
	Signed      int64 // the last line that a signature covers; 0: none
	SignedAt    time.Time
	Notes       []string // what is no sign of a change, but is not covered
	Findings    []string // what was changed; each names file and line
}

// Verifier reads the files of one chain, the oldest first.
type Verifier struct {
	// Check returns the claims of a valid JWT of typ Type.
	Check func(text string) (claims []byte, err error)

	Report
	last link // as in Chain
}

// File reads a file. name is its name in the report. The error is one of reading.
func (v *Verifier) File(name string, file io.Reader) error {
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for at := 1; lines.Scan(); at++ {
		v.line(fmt.Sprintf("%s:%d", name, at), lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (v *Verifier) line(at string, line []byte) {
	l, err := parse(line)
	if err != nil {
		v.unlinked(at, line)
		return
	}
	switch {
	case v.Lines == 0:
		v.First = l.Number
		if l.Number > 1 {
			v.Notes = append(v.Notes, fmt.Sprintf("%s: the chain begins with line %d; the lines before it are in an older file", at, l.Number))
		}
	case l.ID != v.last.ID:
		v.find("%s: another chain begins here; the former ended with line %d", at, v.last.Number)
	case l.Number != v.last.Number+1:
		v.find("%s: it is line %d, but line %d comes next: lines are missing or moved", at, l.Number, v.last.Number+1)
	case l.Previous != v.last.Previous:
		v.find("%s: the line before was changed", at)
	}
	if l.Signature != "" {
		v.signature(at, l)
	}
	v.Lines++
	v.Last = l.Number
	v.last = link{ID: l.ID, Number: l.Number, Previous: hash(line)}
}

// unlinked handles a line without a link.
func (v *Verifier) unlinked(at string, line []byte) {
	switch {
	case len(line) > 0 && !json.Valid(line):
		v.Notes = append(v.Notes, at+": incomplete: the node ended while it wrote it")
	case v.Lines == 0:
		if len(v.Notes) == 0 {
			v.Notes = append(v.Notes, at+": the first lines are older than the chain")
		}
	default:
		v.find("%s: it is not part of the chain", at)
	}
}

func (v *Verifier) signature(at string, l link) {
	claims, err := v.Check(l.Signature)
	var h head
	if err == nil {
		err = json.Unmarshal(claims, &h)
	}
	if err == nil && (h.ID != l.ID || h.Number != l.Number || h.Previous != l.Previous) {
		err = errors.New("it is of another line")
	}
	if err != nil {
		v.find("%s: signature: %v", at, err)
		return
	}
	v.Signatures++
	v.Signed, v.SignedAt = l.Number-1, time.Unix(h.Time, 0).UTC()
}

func (v *Verifier) find(format string, args ...any) {
	v.Findings = append(v.Findings, fmt.Sprintf(format, args...))
}
