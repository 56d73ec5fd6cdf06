package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestBundle_IsCurrent: what the program embeds is made of the sources beside it.
func TestBundle_IsCurrent(t *testing.T) {
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files, err := bundle(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, "dist", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not made of the current sources; run go generate ./frontend (%v)", name, err)
		}
	}
	embedded := 0
	err = filepath.WalkDir(filepath.Join(dir, "dist"), func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			embedded++
		}
		return err
	})
	if err != nil || embedded != len(files) {
		t.Errorf("dist has %d files, want %d (%v)", embedded, len(files), err)
	}
}
