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

// ErrUnknownKey is an error of Verifier.Check: it does not have the key.
var ErrUnknownKey = errors.New("the key is not among the given ones")

// Report is what a Verifier has found.
type Report struct {
	Lines       int64 // with a link
	First, Last int64 // numbers
	Signatures  int64 // valid ones
	Signed      int64 // the last line that a signature covers; 0: none
	SignedAt    time.Time
	Unknown     int64    // signatures by keys that Check does not have
	Notes       []string // what is not proven, but is no sign of a change
	Findings    []string // what was changed; each names file and line
}

// Verifier reads the files of one chain, the oldest first.
type Verifier struct {
	// Check returns the claims of a valid JWT of typ Type.
	Check func(text string) (claims []byte, err error)

	Report
	last   link      // as in Chain
	oldest time.Time // of the lines after the last signature
	from   int64     // the number of that line
	older  int       // lines before the chain
}

// File reads a file. name is its name in the report. The error is one of reading.
func (v *Verifier) File(name string, file io.Reader) error {
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	at := 1
	for ; lines.Scan(); at++ {
		v.line(fmt.Sprintf("%s:%d", name, at), lines.Bytes())
	}
	err := lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		v.find("%s:%d: it is longer than the lines of a node (%d bytes); the rest of the file is not read", name, at, maxLine)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// End completes the report, after the last file.
func (v *Verifier) End() Report {
	if v.Signed > 0 && v.Last > v.Signed {
		v.note("lines %d to %d follow the last signature: they are not proven", v.Signed+1, v.Last)
	}
	return v.Report
}

func (v *Verifier) line(at string, line []byte) {
	e, err := parse(line)
	if err != nil {
		v.unlinked(at, line)
		return
	}
	switch {
	case v.Lines == 0:
		v.begin(at, e)
	case e.ID != v.last.ID:
		v.find("%s: another chain begins here; the former ended with line %d", at, v.last.Number)
	case e.Number != v.last.Number+1:
		v.find("%s: it is line %d, but line %d comes next: lines are missing or moved", at, e.Number, v.last.Number+1)
	case e.Previous != v.last.Previous:
		v.find("%s: the line before was changed", at)
	}
	if e.Signature != "" {
		v.signature(at, e)
	} else if v.Signatures > 0 && e.Time.Sub(v.SignedAt) > late {
		v.find("%s: no signature since %s: they were removed, or the clock was set", at, v.SignedAt.Format(time.RFC3339))
		v.SignedAt = e.Time // one finding for each gap
	}
	if v.oldest.IsZero() || e.Time.Before(v.oldest) {
		v.oldest, v.from = e.Time, e.Number
	}
	v.Lines++
	v.Last = e.Number
	v.last = link{ID: e.ID, Number: e.Number, Previous: hash(line)}
}

// begin handles the first line with a link.
func (v *Verifier) begin(at string, e entry) {
	v.First = e.Number
	switch {
	case e.Number > 1 && v.older > 0:
		v.find("%s: the lines before are not part of the chain", at)
	case e.Number > 1:
		v.note("%s: the chain begins with line %d; the lines before it are in an older file", at, e.Number)
	case v.older > 0:
		v.note("%s: the %d lines before are older than the chain: they are not proven", at, v.older)
	}
}

// unlinked handles a line without a link.
func (v *Verifier) unlinked(at string, line []byte) {
	switch {
	case len(line) > 0 && !json.Valid(line):
		v.note("%s: not a whole line, as of a process that ended while it wrote it", at)
	case v.Lines == 0:
		v.older++
	default:
		v.find("%s: it is not part of the chain", at)
	}
}

func (v *Verifier) signature(at string, e entry) {
	claims, err := v.Check(e.Signature)
	var h head
	if err == nil {
		err = json.Unmarshal(claims, &h)
	}
	if errors.Is(err, ErrUnknownKey) {
		if v.Unknown++; v.Unknown == 1 {
			v.note("%s: the first signature by a key that is not among the given ones: add the jwks.json of that time", at)
		}
		v.SignedAt = e.Time // not proven, but not missing
		return
	}
	if err == nil && (h.ID != e.ID || h.Number != e.Number || h.Previous != e.Previous) {
		err = errors.New("it is of another line")
	}
	if err != nil {
		v.find("%s: signature: %v", at, err)
		return
	}
	v.Signatures++
	v.Signed, v.SignedAt = e.Number-1, time.Unix(h.Time, 0).UTC()
	if !v.oldest.IsZero() && v.SignedAt.Sub(v.oldest) > late {
		v.note("%s: lines from %d, of %s, were signed only at %s: the node was killed, or its disk was full; they are not proven",
			at, v.from, v.oldest.UTC().Format(time.RFC3339), v.SignedAt.Format(time.RFC3339))
	}
	v.oldest = time.Time{}
}

func (v *Verifier) find(format string, args ...any) {
	v.Findings = append(v.Findings, fmt.Sprintf(format, args...))
}

func (v *Verifier) note(format string, args ...any) {
	v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
}
