package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// maxSettingFile is the maximum size of a file that a setting names, in bytes.
const maxSettingFile = 1 << 20

// files are the files that settings were read from, with the SHA-256 of their
// contents; zero if a file was not readable.
type files map[string][sha256.Size]byte

// reader reads a file that a setting names.
type reader func(path string) ([]byte, error)

// read reads a file and records its hash, so that a reload finds a change.
func (c *Config) read(path string) ([]byte, error) {
	if c.files == nil {
		c.files = files{}
	}
	text, err := readBounded(path)
	c.files[path] = [sha256.Size]byte{}
	if err == nil {
		c.files[path] = sha256.Sum256(text)
	}
	return text, err
}

// reread returns the current contents of the files.
func (f files) reread() files {
	var now Config
	for path := range f {
		_, _ = now.read(path) // an error leaves a zero hash
	}
	return now.files
}

// readBounded reads a regular file. It never waits for another process, as the open of a
// named pipe does: a reload must end.
func readBounded(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSettingFile+1))
	if err == nil && len(text) > maxSettingFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxSettingFile)
	}
	return text, err
}

// decodeText returns a text file's content as UTF-8, without a byte order mark.
func decodeText(text []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), bytes.IndexByte(text, 0) >= 0:
		return nil, errors.New("the file is UTF-16 or binary; save it as UTF-8 (PowerShell: Set-Content -Encoding utf8)")
	case !utf8.Valid(text):
		return nil, errors.New("the file is not UTF-8; save it as UTF-8")
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil
}

// parseSecret returns a secret without white space around it: `echo` adds a line
// break, which would be sent to WeChat or Redis. lines allows several lines, for
// keys. Errors do not contain the secret.
func parseSecret(text string, lines bool) (string, error) {
	raw, err := decodeText([]byte(text))
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(string(raw))
	inside := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && !(lines && strings.ContainsRune("\r\n\t", r)) })
	switch {
	case text == "":
		return "", errors.New("it is empty")
	case inside >= 0:
		return "", fmt.Errorf("there is a line break or another control character after %d characters; "+
			"a password that `echo` made ends with one: use `printf %%s` or `echo -n`", utf8.RuneCountInString(text[:inside]))
	case len(text) > 1 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0]:
		return "", errors.New("there are quotation marks around it, which Docker's env files and Kubernetes keep as part of the value; remove them")
	}
	return text, nil
}

// readSecretFile returns the secret in a file.
func readSecretFile(path string, lines bool, read reader) (string, error) {
	raw, err := read(path)
	if err != nil {
		return "", err
	}
	text, err := parseSecret(string(raw), lines)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}
