package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeSums writes SHA256SUMS over all results, in the form of sha256sum, and signs it.
func (r *release) writeSums() error {
	if err := os.WriteFile(r.path("notes.md"), []byte(r.notes), 0o644); err != nil {
		return err
	}
	results, err := os.ReadDir(r.dist) // sorted by name
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range results {
		data, err := os.ReadFile(filepath.Join(r.dist, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), entry.Name())
	}
	path := filepath.Join(r.dist, "SHA256SUMS")
	if err := os.WriteFile(path, []byte(sums.String()), 0o644); err != nil {
		return err
	}
	fmt.Print(sums.String())
	if r.key == "" {
		fmt.Println("release: SHA256SUMS is not signed; --key FILE or RELEASE_KEY names the SSH key that signs it")
		return nil
	}
	_, err = output(nil, "ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", r.key, path)
	return err
}
