package deploytest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// shell runs a line in a folder, with an empty line as its input, and returns what it prints.
func shell(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", line)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// copyTree copies what Git would commit to a new folder, with two releases in its changelog.
func copyTree(t *testing.T, path string) (tree string) {
	t.Helper()
	tree = filepath.Join(t.TempDir(), path)
	shell(t, "../..", "mkdir -p "+tree+" && git ls-files -co --exclude-standard | tar -c --ignore-failed-read -T - | tar -x -C "+tree)
	shell(t, tree, `printf '\n## [9.8.8] - 2026-11-30\n\nsecond\n\n## [9.8.7] - 2026-11-29\n\nfirst\n' >> deploy/CHANGELOG.md`)
	return tree
}

// TestRelease_Published makes a release in two folders, whose environments differ, and then the
// next one: every file has the same bytes, and is what an operator needs. The folders share Go's
// cache, so this shows that no path, time, order or environment gets into a file.
func TestRelease_Published(t *testing.T) {
	t.Parallel()
	here, there := copyTree(t, "here"), copyTree(t, "a/longer/path")
	make := " COMMIT=0123456789abcdef0123456789abcdef01234567 " + filepath.Join(here, "release") + " v9.8.7 --platforms linux/amd64"
	shell(t, here, "go build -o release ./deploy/release && ssh-keygen -q -t ed25519 -N '' -f key")
	shell(t, here, make+" --key key --dist dist")
	printed := shell(t, there, "umask 077; TZ=Asia/Shanghai LC_ALL=C GOFLAGS=-modcacherw GOAMD64=v3 GOARCH=arm64"+make+" --dist dist")
	if !strings.Contains(printed, "not signed") {
		t.Errorf("a release without a key does not say so: %s", printed)
	}
	if a, b := shell(t, here, "cat dist/SHA256SUMS"), shell(t, there, "cat dist/SHA256SUMS"); a != b || strings.Count(a, "\n") != 7 {
		t.Errorf("two builds differ, or a file is missing:\n%s\n%s", a, b)
	}
	verify := deployReleaseLines(t)
	shell(t, here, `sed 's/^/release namespaces="file" /' key.pub > dist/allowed_signers && cd dist && `+verify)
	if out, err := exec.Command("sh", "-ec", "cd "+here+"/dist && echo x >> SHA256SUMS && "+verify).CombinedOutput(); err == nil {
		t.Errorf("a changed list is accepted: %s", out)
	}
	dist := filepath.Join(here, "dist")
	t.Run("archive", func(t *testing.T) {
		files := untar(t, filepath.Join(dist, "loginhub_9.8.7_linux_amd64.tar.gz"))
		if yaml := files["loginhub_9.8.7_linux_amd64/loginhub.yaml"]; len(files) < 60 || !bytes.Contains(yaml, []byte("public_url")) {
			t.Errorf("%d files", len(files))
		}
		checkShippedLinks(t, files, "loginhub_9.8.7_linux_amd64")
	})
	t.Run("SBOM", func(t *testing.T) { checkSBOM(t, filepath.Join(dist, "loginhub_9.8.7_linux_amd64.cdx.json")) })
	t.Run("image", func(t *testing.T) { checkReleaseImage(t, filepath.Join(dist, "loginhub_9.8.7_image.tar")) })
	// Packages of the next release need another version, but not the hub: a small program is packed faster.
	shell(t, there, "rm cmd/loginhub/*.go; echo '"+smallProgram+"' > cmd/loginhub/main.go; echo '# a new comment' >> cmd/loginhub/init_production.yaml;"+strings.Replace(make, "v9.8.7", "v9.8.8", 1)+" --dist next")
	first, second := filepath.Join(dist, "loginhub_9.8.7_linux_amd64"), filepath.Join(there, "next", "loginhub_9.8.8_linux_amd64")
	t.Run("deb", func(t *testing.T) { checkDebian(t, first+".deb", second+".deb") })
	t.Run("rpm", func(t *testing.T) { checkRPM(t, first+".rpm", second+".rpm") })
}

const smallProgram = `package main

var releaseVersion, commit string

func main() { println("loginhub", releaseVersion, commit) }`

// checkShippedLinks: what the operator's documents link to is there, but for sources.
func checkShippedLinks(t *testing.T, files map[string][]byte, top string) {
	for _, name := range []string{"README.md", "deploy/README.md", "deploy/RUNBOOK.md", "deploy/redis/README.md", "deploy/zh-CN/operations.md"} {
		links := regexp.MustCompile(`\]\(([^)\s#]+)`).FindAllSubmatch(files[filepath.Join(top, name)], -1)
		for _, m := range links {
			target := filepath.Join(top, filepath.Dir(name), string(m[1]))
			found := strings.Contains(string(m[1]), "://") || filepath.Ext(target) == ".go"
			for path := range files {
				found = found || path == target || strings.HasPrefix(path, target+"/")
			}
			if !found {
				t.Errorf("%s links to %s, which is not shipped", name, m[1])
			}
		}
		if len(links) < 5 {
			t.Errorf("%s has %d links", name, len(links))
		}
	}
}

// deployReleaseLines returns the documented verification of a download.
func deployReleaseLines(t *testing.T) string {
	t.Helper()
	_, section, _ := strings.Cut(readDeploy(t, "README.md"), "\n## Releases\n")
	return strings.Join(shellLines(section), " && ")
}

func TestRelease_Refused(t *testing.T) {
	t.Parallel()
	tree := copyTree(t, "tree")
	shell(t, tree, "go build -o release ./deploy/release")
	for version, want := range map[string]string{
		"": "semantic", "1.2.3": "semantic", "v1.2": "semantic", "v01.2.3": "semantic", "v1.2.3+meta": "semantic", "v1.2.3-rc.01": "semantic",
		"v9.8.9": "CHANGELOG.md has no text", "v9.8.7": "set COMMIT", // the copy is no Git checkout
	} {
		cmd := exec.Command(filepath.Join(tree, "release"), version)
		cmd.Dir = tree
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+tree)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v %s", version, err, out)
		}
	}
}

// untar returns the files of an archive, whose entries must be root's.
func untar(t *testing.T, path string) map[string][]byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return untarBytes(t, raw)
}

func untarBytes(t *testing.T, raw []byte) map[string][]byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(raw)
	if z, err := gzip.NewReader(bytes.NewReader(raw)); err == nil {
		r = z
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil || h.Uid != 0 || h.Gid != 0 {
			t.Fatalf("%+v %v", h, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

// checkSBOM validates against CycloneDX's own schema, and compares with `go list`.
func checkSBOM(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(shell(t, t.TempDir(), "go mod download -json github.com/CycloneDX/cyclonedx-go@v0.12.0 | sed -n 's/.*\"Dir\": \"\\(.*\\)\".*/\\1/p'"))
	compiler := jsonschema.NewCompiler()
	parse := func(text []byte, err error) any {
		t.Helper()
		document, wrong := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err := errors.Join(err, wrong); err != nil {
			t.Fatal(err)
		}
		return document
	}
	for name, file := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+name, parse(os.ReadFile(dir+"/schema/"+file))); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(parse(text, nil)); err != nil {
		t.Error(err)
	}
	modules := strings.Fields(shell(t, "../..", `CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}"pkg:golang/{{.Path}}@{{.Version}}"{{end}}{{end}}' ./cmd/loginhub | sort -u`))
	for _, purl := range append(modules, `"pkg:golang/std@`+strings.TrimPrefix(strings.TrimSpace(shell(t, "../..", "go env GOVERSION")), "go")+`"`) {
		if !strings.Contains(string(text), `"purl": `+purl) {
			t.Errorf("%s is missing", purl)
		}
	}
	if n := strings.Count(string(text), `"type": "library"`); n != len(modules)+1 || n < 10 {
		t.Errorf("%d modules, want %d", n, len(modules)+1)
	}
}

// readLayout reads the first image of a layout: its configuration, and its layers, unpacked.
func readLayout(t *testing.T, path string) (config imageConfig, layers [][]byte) {
	t.Helper()
	files := untar(t, path)
	blob := func(digest string) []byte {
		data := files["blobs/sha256/"+strings.TrimPrefix(digest, "sha256:")]
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); got != digest {
			t.Fatalf("blob %s has the digest %s", digest, got)
		}
		return data
	}
	type descriptor struct{ Digest string }
	var document struct {
		Manifests, Layers []descriptor
		Config            descriptor
	}
	next := files["index.json"]
	for range 2 { // the layout's index, then that of the architectures
		if err := json.Unmarshal(next, &document); err != nil {
			t.Fatal(err)
		}
		next = blob(document.Manifests[0].Digest)
	}
	if err := errors.Join(json.Unmarshal(next, &document), json.Unmarshal(blob(document.Config.Digest), &config)); err != nil {
		t.Fatal(err)
	}
	for i, layer := range document.Layers {
		z, err := gzip.NewReader(bytes.NewReader(blob(layer.Digest)))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil || fmt.Sprintf("sha256:%x", sha256.Sum256(plain)) != config.Rootfs.DiffIDs[i] {
			t.Errorf("layer %d is not that of the configuration: %v", i, err)
		}
		layers = append(layers, plain)
	}
	return config, layers
}

type imageConfig struct {
	Created string
	Config  struct {
		User                      string
		Entrypoint                []string
		Labels                    map[string]string
		ExposedPorts, Healthcheck json.RawMessage
	}
	Rootfs struct {
		DiffIDs []string `json:"diff_ids"`
	}
}

// checkReleaseImage compares the image with the Dockerfile, and runs the program as the image's
// user in a root that has only the image's files.
func checkReleaseImage(t *testing.T, path string) {
	config, layers := readLayout(t, path)
	c, docker := config.Config, readDeploy(t, "Dockerfile")
	for _, line := range []string{"USER " + c.User, `ENTRYPOINT ["` + strings.Join(c.Entrypoint, `", "`) + `"]`, "EXPOSE " + regexp.MustCompile(`\d+`).FindString(string(c.ExposedPorts))} {
		if !strings.Contains(docker, "\n"+line+"\n") {
			t.Errorf("the Dockerfile does not have %s", line)
		}
	}
	if config.Created != "2026-11-29T00:00:00Z" || c.Labels["org.opencontainers.image.version"] != "9.8.7" || !bytes.Contains(c.Healthcheck, []byte(`"CMD","/loginhub","health"`)) {
		t.Errorf("created %s, labels %v, %s", config.Created, c.Labels, c.Healthcheck)
	}
	root := t.TempDir()
	for _, layer := range layers {
		for name, data := range untarBytes(t, layer) {
			to := filepath.Join(root, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if pem, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")); err != nil || !bytes.Contains(pem, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("no authorities: %v", err)
	}
	shell(t, root, "while [ $PWD != ${TMPDIR:-/tmp} ] && [ $PWD != / ]; do chmod a+rx .; cd ..; done") // the other user must enter it
	run := &exec.Cmd{Path: filepath.Join(root, c.Entrypoint[0]), Args: []string{"loginhub", "version"}, Dir: root}
	if os.Geteuid() == 0 {
		run.Path, run.Dir = c.Entrypoint[0], "/"
		run.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	if out, err := run.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "loginhub v9.8.7 0123456789ab ") {
		t.Errorf("%s %v", out, err)
	}
}
