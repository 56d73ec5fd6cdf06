package auditchain_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/cmd/loginhub/auditchain"
)

// sign is a signature for tests: the claims themselves, in brackets.
func sign(claims []byte) (string, error) { return "[" + string(claims) + "]", nil }

func check(text string) ([]byte, error) {
	inner, ok := strings.CutPrefix(strings.TrimSuffix(text, "]"), "[")
	if !ok {
		return nil, errors.New("not signed")
	}
	return []byte(inner), nil
}

// write opens the chain of the file, appends lines to it and returns how it began.
func write(t *testing.T, path string, lines ...string) auditchain.Start {
	t.Helper()
	c, how, err := auditchain.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Sign = sign
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, line := range lines {
		linked, err := c.Append(fmt.Appendf(nil, `{"time":%q,"msg":%q}`+"\n", time.Now().Format(time.RFC3339Nano), line))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(linked); err != nil {
			t.Fatal(err)
		}
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
	}
	return how
}

func verify(t *testing.T, texts ...[]byte) auditchain.Report {
	t.Helper()
	v := auditchain.Verifier{Check: check}
	for i, text := range texts {
		if err := v.File(fmt.Sprint("file", i), bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return v.End()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestChain_Continues: over a restart, an incomplete last line and a start without a line
// after it, and a rotation that is followed by a restart before the next line.
func TestChain_Continues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if write(t, path, "a", "b") != auditchain.New || write(t, path, "c") != auditchain.Continued {
		t.Error("the chain does not continue after a restart")
	}
	torn := read(t, path)
	if err := os.WriteFile(path, append(torn, `{"msg":"to`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if write(t, path) != auditchain.Continued || write(t, path, "d") != auditchain.Continued {
		t.Error("the chain does not continue after an incomplete line")
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if write(t, path, "e", "f") != auditchain.Continued {
		t.Error("the chain does not continue after a rotation")
	}
	r := verify(t, read(t, path+".1"), read(t, path))
	if len(r.Findings) > 0 || r.Lines != 6 || r.First != 1 || r.Last != 6 || len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "file0:4: not a whole line") || !strings.Contains(r.Notes[1], "lines 5 to 6") {
		t.Errorf("report %+v", r)
	}
	if r := verify(t, read(t, path)); len(r.Findings) > 0 || r.First != 5 {
		t.Errorf("of the second file alone: %+v", r)
	}
}

// TestChain_OtherFile: a file that another program has written is not taken for the node's
// own, and two nodes cannot write one file.
func TestChain_OtherFile(t *testing.T) {
	path, forged := filepath.Join(t.TempDir(), "audit.log"), filepath.Join(t.TempDir(), "forged.log")
	write(t, path, "a")
	write(t, forged, "x", "y")
	if err := os.Rename(forged, path); err != nil {
		t.Fatal(err)
	}
	c, how, err := auditchain.Open(path)
	if err != nil || how != auditchain.Unknown {
		t.Errorf("a forged file: %s %v", how, err)
	}
	if _, _, err := auditchain.Open(path); err == nil || !strings.Contains(err.Error(), "another node") {
		t.Errorf("a second node: %v", err)
	}
	c.Close()
}

func TestChain_SignedEveryMinute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	synctest.Test(t, func(t *testing.T) {
		c, _, err := auditchain.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Sign = sign
		var text []byte
		for range 5 {
			line := fmt.Sprintf(`{"time":%q}`+"\n", time.Now().Format(time.RFC3339))
			lines, err := c.Append([]byte(line + line))
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, lines...)
			time.Sleep(30*time.Second - 5*time.Millisecond) // a timer of a minute is not exact
		}
		if r := verify(t, text); r.Signatures != 3 || r.Signed != 6 || len(r.Findings) > 0 {
			t.Errorf("report %+v", r)
		}
	})
}

// TestVerify_FindsEachChange changes a file of ten lines in each way.
func TestVerify_FindsEachChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, "0", "1", "2", "3", "4", "5", "6", "7", "8")
	write(t, path, "9") // and a signature
	good := strings.SplitAfter(string(read(t, path)), "\n")[:10]
	other := filepath.Join(t.TempDir(), "other.log")
	write(t, other, "0", "1", "2")
	foreign := strings.SplitAfter(string(read(t, other)), "\n")[:3]
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"changed":   {append(append(clone(good[:4]), strings.Replace(good[4], `"4"`, `"5"`, 1)), good[5:]...), "file0:6: the line before was changed"},
		"removed":   {append(clone(good[:4]), good[5:]...), "file0:5: it is line 6, but line 5 comes next"},
		"moved":     {append(append(clone(good[:4]), good[5], good[4]), good[6:]...), "file0:5: it is line 6, but line 5 comes next"},
		"repeated":  {append(append(clone(good[:5]), good[4]), good[5:]...), "file0:6: it is line 5, but line 6 comes next"},
		"inserted":  {append(append(clone(good[:5]), "{\"msg\":\"x\"}\n"), good[5:]...), "file0:6: it is not part of the chain"},
		"too long":  {append(clone(good[:5]), strings.Repeat("x", 1<<20)), "file0:6: it is longer than the lines of a node"},
		"replaced":  {append(clone(good[:5]), foreign...), "file0:6: another chain begins here"},
		"signature": {append([]string{strings.Replace(good[0], `"signature":"[`, `"signature":"`, 1)}, good[1:]...), "file0:1: signature: not signed"},
		"copied":    {append([]string{strings.Replace(good[0], `\"n\":1`, `\"n\":2`, 1)}, good[1:]...), "file0:1: signature: it is of another line"},
	} {
		r := verify(t, []byte(strings.Join(c.lines, "")))
		if len(r.Findings) == 0 || !strings.Contains(r.Findings[0], c.want) {
			t.Errorf("%s: %q, wanted %q", name, r.Findings, c.want)
		}
	}
	if r := verify(t, []byte(strings.Join(good, ""))); len(r.Findings) > 0 || r.Signed != 9 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "10 to 10") {
		t.Errorf("unchanged: %+v", r)
	}
}

func clone(lines []string) []string { return append([]string(nil), lines...) }

// TestVerify_Unproven: what no signature proves is a note, or a finding if the node would
// have signed it.
func TestVerify_Unproven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, "0", "1")
	text := string(read(t, path))
	late := strings.Replace(text, `{"time":"2`, `{"time":"1`, 1) // a thousand years old
	old := `{"time":"2026-01-01T00:00:00Z","msg":"before the chain"}` + "\n"
	future := strings.SplitAfter(strings.ReplaceAll(text, `{"time":"2`, `{"time":"9`), "\n")
	for name, c := range map[string]struct {
		text, note, finding string
	}{
		"older lines":             {old + text, "the 1 lines before are older than the chain", ""},
		"cut beginning":           {strings.SplitAfter(text, "\n")[1], "begins with line 2", ""},
		"older lines, cut":        {old + strings.SplitAfter(text, "\n")[1], "", "not part of the chain"},
		"a signature was removed": {strings.SplitAfter(text, "\n")[0] + future[1], "", "no signature since"},
	} {
		r := verify(t, []byte(c.text))
		if notes := strings.Join(r.Notes, "; "); !strings.Contains(notes, c.note) || c.note == "" && len(r.Findings) == 0 || c.finding != "" && !strings.Contains(strings.Join(r.Findings, "; "), c.finding) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if err := os.WriteFile(path, []byte(late), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, path, "2")
	if r := verify(t, read(t, path)); len(r.Notes) == 0 || !strings.Contains(strings.Join(r.Notes, "; "), "were signed only at") {
		t.Errorf("lines that were signed late: %+v", r)
	}
}
