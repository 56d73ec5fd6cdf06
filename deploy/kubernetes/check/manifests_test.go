package check

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func each(t *testing.T, tell func(*testing.T, *manifests)) {
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) { tell(t, render(t, folder)) })
	}
}

// TestManifests_Settings starts the program with each folder's settings and clients,
// and one wrong setting, so that it exits. Only that one may be an error.
func TestManifests_Settings(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		run := exec.Command("go", "run", "./cmd/loginhub")
		run.Dir = "../../.."
		run.Env = append(os.Environ(), "LOGINHUB_RATE_LIMIT=-1", "LOGINHUB_REDIS_URL=rediss://redis", "LOGINHUB_WECHAT_APP_SECRET=s",
			"LOGINHUB_KEYS=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
		for _, config := range m.configs {
			for name, value := range config.Data {
				switch {
				case name == "clients.yaml":
					path := filepath.Join(t.TempDir(), name)
					if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
						t.Fatal(err)
					}
					run.Env = append(run.Env, "LOGINHUB_CLIENTS="+path)
				case !strings.HasPrefix(value, "/"): // the only file is the clients file
					run.Env = append(run.Env, name+"="+value)
				}
			}
		}
		out, err := run.CombinedOutput()
		if err == nil || strings.Count(string(out), "LOGINHUB_") != 1 || !strings.Contains(string(out), "LOGINHUB_RATE_LIMIT") {
			t.Errorf("%v %s", err, out)
		}
	})
}

// hub runs the program from source.
func hub(t *testing.T, args ...string) string {
	t.Helper()
	run := exec.Command("go", append([]string{"run", "./cmd/loginhub"}, args...)...)
	run.Dir = "../../.."
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return string(out)
}

func TestManifests_References(t *testing.T) {
	known := map[string]bool{"GOMEMLIMIT": true}
	for _, m := range regexp.MustCompile(`\$(LOGINHUB_\w+)\)`).FindAllStringSubmatch(hub(t, "--help"), -1) {
		known[m[1]] = true
	}
	if len(known) < 30 {
		t.Fatalf("%d settings in --help", len(known))
	}
	each(t, func(t *testing.T, m *manifests) {
		pod := m.Deployment.Spec.Template.Spec
		c := pod.Containers[0]
		settings := m.settings(t)
		mounted := map[string]string{} // path to volume
		for _, v := range c.VolumeMounts {
			if !v.ReadOnly {
				t.Errorf("%s is mounted to be written to", v.Name)
			}
			mounted[v.MountPath] = v.Name
		}
		volumes := map[string]corev1.Volume{}
		for _, v := range pod.Volumes {
			volumes[v.Name] = v
		}
		for name, value := range settings {
			if !known[name] {
				t.Errorf("%s is no setting of the program", name)
			}
			if !strings.HasPrefix(value, "/") {
				continue
			}
			folder, file := value[:strings.LastIndex(value, "/")], value[strings.LastIndex(value, "/")+1:]
			volume, ok := volumes[mounted[folder]]
			switch {
			case !ok:
				t.Errorf("%s=%s is in no volume", name, value)
			case volume.ConfigMap != nil && m.configs[volume.ConfigMap.Name].Data[file] == "":
				t.Errorf("%s=%s: ConfigMap %q has no such file", name, value, volume.ConfigMap.Name)
			case volume.Secret == nil && (strings.HasSuffix(name, "_FILE") || strings.HasSuffix(name, "_KEY")):
				t.Errorf("%s=%s is a secret, and comes from none", name, value)
			}
			if volume.ConfigMap != nil && !strings.HasPrefix(volume.ConfigMap.Name, "loginhub-clients-") {
				t.Errorf("a changed clients file is no rolling restart: %s", volume.ConfigMap.Name)
			}
		}
		checkSettingNames(t, settings)
		if got, want := "https://"+m.Ingress.Spec.Rules[0].Host, settings["LOGINHUB_PUBLIC_URL"]; got != want || m.Ingress.Spec.TLS[0].Hosts[0] != m.Ingress.Spec.Rules[0].Host {
			t.Errorf("the Ingress is %s with TLS for %v, the public URL %s", got, m.Ingress.Spec.TLS, want)
		}
	})
}

// checkSettingNames: secrets are only referenced, and what every deployment needs is set.
func checkSettingNames(t *testing.T, settings map[string]string) {
	t.Helper()
	for name := range settings {
		for _, secret := range []string{"KEYS", "REDIS_URL", "ADMIN_TOKEN", "WECHAT_APP_SECRET", "WECHAT_WEB_APP_SECRET"} {
			if name == "LOGINHUB_"+secret {
				t.Errorf("%s is in a manifest", name)
			}
		}
	}
	for _, name := range []string{"PUBLIC_URL", "REDIS_URL_FILE", "ADMIN_TOKEN_FILE", "KEYS_FILE", "TRUSTED_PROXIES", "CLIENTS"} {
		if settings["LOGINHUB_"+name] == "" {
			t.Errorf("LOGINHUB_%s is not set", name)
		}
	}
}

// matches reports whether the selector selects pods with the labels.
func matches(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

func TestManifests_SelectorsAndPorts(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		labels, pod := m.Deployment.Spec.Template.Labels, m.Deployment.Spec.Template.Spec
		selectors := map[string]map[string]string{
			"Deployment": m.Deployment.Spec.Selector.MatchLabels, "Service": m.Service.Spec.Selector,
			"NetworkPolicy": m.NetworkPolicy.Spec.PodSelector.MatchLabels, "PodDisruptionBudget": m.PodDisruptionBudget.Spec.Selector.MatchLabels,
		}
		for i, spread := range pod.TopologySpreadConstraints {
			selectors[fmt.Sprint("spread ", i)] = spread.LabelSelector.MatchLabels
		}
		if len(selectors) != 6 {
			t.Errorf("spread over %d kinds of place", len(pod.TopologySpreadConstraints))
		}
		for what, selector := range selectors {
			if !matches(selector, labels) {
				t.Errorf("%s selects %v; pods are %v", what, selector, labels)
			}
		}
		ports := map[string]bool{}
		for _, p := range pod.Containers[0].Ports {
			ports[p.Name] = true
		}
		if to := m.Service.Spec.Ports[0].TargetPort.StrVal; !ports[to] {
			t.Errorf("the Service leads to port %q", to)
		}
		backend := m.Ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
		if backend.Name != m.Service.Name || backend.Port.Name != m.Service.Spec.Ports[0].Name {
			t.Errorf("the Ingress leads to %s %s", backend.Name, backend.Port.Name)
		}
		for _, rule := range m.NetworkPolicy.Spec.Ingress {
			if len(rule.From) == 0 {
				t.Error("anybody may come to a port")
			}
			for _, p := range rule.Ports {
				if !ports[p.Port.StrVal] {
					t.Errorf("the NetworkPolicy opens port %s", p.Port)
				}
			}
		}
		if len(m.NetworkPolicy.Spec.PolicyTypes) != 2 || len(m.NetworkPolicy.Spec.Egress) == 0 {
			t.Errorf("the NetworkPolicy is for %v", m.NetworkPolicy.Spec.PolicyTypes)
		}
		h := m.HorizontalPodAutoscaler.Spec
		if h.ScaleTargetRef.Name != m.Deployment.Name || h.ScaleTargetRef.Kind != "Deployment" || *h.MinReplicas < 3 || h.MaxReplicas <= *h.MinReplicas || m.Deployment.Spec.Replicas != nil {
			t.Errorf("the autoscaler %+v, and the deployment's own number %v", h, m.Deployment.Spec.Replicas)
		}
		if b := m.PodDisruptionBudget.Spec.MaxUnavailable; b == nil || b.IntVal != 1 {
			t.Errorf("so many nodes may go at once: %v", b)
		}
	})
}

// TestOverlay_OwnSettings: the base has examples, and
// deploy/README.md names the settings to change.
func TestOverlay_OwnSettings(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(readme), "### Kubernetes")
	part, _, _ = strings.Cut(part, "```")
	setting := func(m *manifests, name string) (value string) {
		for _, config := range m.configs {
			value += config.Data[name]
		}
		return value
	}
	base, overlay := render(t, folders[0]), render(t, folders[1])
	for _, name := range []string{"LOGINHUB_PUBLIC_URL", "LOGINHUB_WECHAT_APP_ID", "LOGINHUB_TRUSTED_PROXIES"} {
		if was, is := setting(base, name), setting(overlay, name); was == "" || is == "" || was == is {
			t.Errorf("%s is %q in the base and %q in the overlay", name, was, is)
		}
		if !strings.Contains(part, name) {
			t.Errorf("deploy/README.md does not say to change %s: %s", name, part)
		}
	}
}

func TestManifests_MisspeltField(t *testing.T) {
	var d appsv1.Deployment
	text := bytes.Replace([]byte("spec:\n  minReadySeconds: 5\n"), []byte("minReady"), []byte("minRaedy"), 1)
	if err := yaml.UnmarshalStrict(text, &d); err == nil {
		t.Error("decoding takes any field: the other tests are blind")
	}
}

// TestManifests_FitTheDocumentedCommands compares the kubectl lines of
// deploy/README.md with the manifests.
func TestManifests_FitTheDocumentedCommands(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^kubectl .*$`).FindAllString(string(text), -1)
	apply := regexp.MustCompile(`(?m)^kubectl apply -k (\S+)$`).FindStringSubmatch(string(text))
	if apply == nil {
		t.Fatalf("lines %q", lines)
	}
	m := render(t, "../../../"+apply[1])
	namespace, name, pod := m.Namespace.Name, m.Deployment.Name, m.Deployment.Spec.Template.Spec
	wanted := []string{
		"kubectl create namespace " + namespace,
		apply[0],
		"kubectl -n " + namespace + " exec deploy/" + name + " -- /loginhub check",
	}
	for _, v := range pod.Volumes {
		if v.Secret == nil {
			continue
		}
		command := "kubectl -n " + namespace + " create secret generic " + v.Secret.SecretName
		for _, file := range settingsIn(m, mountOf(pod, v.Name)) {
			command += " --from-file=" + file
		}
		wanted = append(wanted, command)
	}
	for _, want := range wanted {
		if !slices.Contains(lines, want) {
			t.Errorf("deploy/README.md does not say %q", want)
		}
	}
	if len(lines) != len(wanted) {
		t.Errorf("lines %q", lines)
	}
}

// mountOf is the path of a volume in the hub's container.
func mountOf(pod corev1.PodSpec, volume string) string {
	for _, v := range pod.Containers[0].VolumeMounts {
		if v.Name == volume {
			return v.MountPath
		}
	}
	return ""
}

// settingsIn are the names of the files in a folder that settings name, sorted.
func settingsIn(m *manifests, folder string) (files []string) {
	note := func(value string) {
		if file, ok := strings.CutPrefix(value, folder+"/"); ok {
			files = append(files, file)
		}
	}
	for _, e := range m.Deployment.Spec.Template.Spec.Containers[0].Env {
		note(e.Value)
	}
	for _, config := range m.configs {
		for name, value := range config.Data {
			if strings.HasPrefix(name, "LOGINHUB_") {
				note(value)
			}
		}
	}
	slices.Sort(files)
	return files
}
