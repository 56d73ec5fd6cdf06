package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// writeDocs copies the documents to the working folder, and the completions of shells,
// which the program prints.
func (r *release) writeDocs() error {
	var err error
	if r.documents, err = documents(); err != nil {
		return err
	}
	files := map[string][]byte{}
	for name, text := range r.documents {
		files["doc/"+name] = text
	}
	// The package has the program in another folder than an installation by hand.
	files["loginhub.service"] = bytes.ReplaceAll(r.documents["deploy/systemd/loginhub.service"], []byte("/usr/local/bin/"), []byte("/usr/bin/"))
	if _, err := r.buildProgram(platform{runtime.GOOS, runtime.GOARCH}); err != nil {
		return err
	}
	for _, shell := range []string{"bash", "fish"} {
		text, err := output(nil, r.programPath(platform{runtime.GOOS, runtime.GOARCH}), "completion", shell)
		if err != nil {
			return err
		}
		files["completion."+shell] = []byte(text)
	}
	for name, text := range files {
		path := filepath.Join(r.work, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(filepath.Join(r.work, "doc"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return errors.Join(err, os.Chmod(path, 0o644))
		}
		return os.Chmod(path, 0o755) // whatever the umask
	})
}

func (r *release) programPath(p platform) string {
	path := filepath.Join(r.work, p.String(), "loginhub")
	if p.os == "windows" {
		path += ".exe"
	}
	return path
}

// buildProgram builds the program by the script that the Dockerfile uses too.
func (r *release) buildProgram(p platform) ([]byte, error) {
	_, err := output([]string{"VERSION=v" + r.version, "COMMIT=" + r.commit, "GOOS=" + p.os, "GOARCH=" + p.arch, "GOTOOLCHAIN=" + r.toolchain},
		"sh", "deploy/docker/build.sh", r.programPath(p))
	if err != nil {
		return nil, err
	}
	return os.ReadFile(r.programPath(p))
}

// file is an entry of an archive; a name that ends with / is a directory.
type file struct {
	name string
	mode fs.FileMode
	data []byte
}

// writeArchive writes the program with the documents, in a folder of the archive's name.
func (r *release) writeArchive(p platform, program []byte) error {
	top := filepath.Base(r.path(p.String())) + "/"
	files := []file{{top + filepath.Base(r.programPath(p)), 0o755, program}}
	for _, name := range slices.Sorted(maps.Keys(r.documents)) {
		files = append(files, file{top + name, 0o644, r.documents[name]})
	}
	var b bytes.Buffer
	if p.os == "windows" {
		if err := writeZip(&b, files, r.time); err != nil {
			return err
		}
		return os.WriteFile(r.path(p.String()+".zip"), b.Bytes(), 0o644)
	}
	z := gzip.NewWriter(&b)
	if err := errors.Join(writeTar(z, files, r.time), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(r.path(p.String()+".tar.gz"), b.Bytes(), 0o644)
}

// writeTar writes the files in the order of their names, as root's.
func writeTar(w io.Writer, files []file, at time.Time) error {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: f.name, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: at}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeZip(w io.Writer, files []file, at time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(f.mode)
		entry, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}
