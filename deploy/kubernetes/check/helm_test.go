package check

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

const chartFolder = "../../helm"

// installs are sets of values, by file or as text, and the kinds that each makes.
var installs = map[string]struct{ values, kinds string }{
	"sandbox":    {"sandbox: true", "ConfigMap Deployment NetworkPolicy Service ServiceAccount"},
	"production": {chartFolder + "/production.yaml", "ConfigMap Deployment HorizontalPodAutoscaler Ingress NetworkPolicy PodDisruptionBudget Service ServiceAccount"},
	"everything": {"testdata/everything.yaml", "ConfigMap ConfigMap Deployment HTTPRoute HorizontalPodAutoscaler Ingress NetworkPolicy PodDisruptionBudget PodMonitor PrometheusRule Service ServiceAccount"},
	"least":      {"testdata/least.yaml", "ConfigMap Deployment Service"},
}

// readValues decodes values that are a file's name or text.
func readValues(t *testing.T, values string) (all map[string]any) {
	t.Helper()
	text := []byte(values)
	if strings.HasSuffix(values, ".yaml") {
		var err error
		if text, err = os.ReadFile(values); err != nil {
			t.Fatal(err)
		}
	}
	if err := yaml.UnmarshalStrict(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// helmTemplate renders a chart, a folder or a package, as `helm template loginhub` does.
func helmTemplate(t *testing.T, chart, values string) (files map[string]string, err error) {
	t.Helper()
	loaded, err := loader.Load(chart)
	if err != nil {
		t.Fatal(err)
	}
	release := common.ReleaseOptions{Name: "loginhub", Namespace: "loginhub", Revision: 1, IsInstall: true}
	with, err := chartutil.ToRenderValues(loaded, readValues(t, values), release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(loaded, with)
}

// install renders the chart and decodes its objects.
func install(t *testing.T, name string) *manifests {
	t.Helper()
	files, err := helmTemplate(t, chartFolder, installs[name].values)
	if err != nil {
		t.Fatal(err)
	}
	var texts [][]byte
	for file, text := range files {
		if strings.HasSuffix(file, ".txt") {
			continue
		}
		for one := range strings.SplitSeq(text, "\n---\n") {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(one), &object); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, one)
			}
			if object != nil {
				texts = append(texts, []byte(one))
			}
		}
	}
	return decode(t, name, texts)
}

// TestHelm_Installs decodes strictly what each set of values makes, and lets the program
// check its settings.
func TestHelm_Installs(t *testing.T) {
	hub := filepath.Join(t.TempDir(), "loginhub")
	build := exec.Command("go", "build", "-o", hub, "./cmd/loginhub")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, is := range installs {
		t.Run(name, func(t *testing.T) {
			m := install(t, name)
			if kinds := strings.Join(m.kinds, " "); kinds != is.kinds {
				t.Errorf("makes %s", kinds)
			}
			pod := m.Deployment.Spec.Template
			for _, selector := range []map[string]string{m.Deployment.Spec.Selector.MatchLabels, m.Service.Spec.Selector} {
				if !matches(selector, pod.Labels) {
					t.Errorf("pods are %v, selected are %v", pod.Labels, selector)
				}
			}
			settings := m.file(t, "loginhub.yaml")
			for key, value := range settings {
				if text, is := value.(string); is && strings.HasPrefix(text, "/") {
					delete(settings, key) // a file that is in no pod here
				}
			}
			text, err := yaml.Marshal(settings)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "loginhub.yaml")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			check := exec.Command(hub, "config", "check", "--config", file)
			check.Env = os.Environ()
			for _, e := range pod.Spec.Containers[0].Env {
				if secret, is := strings.CutSuffix(e.Name, "_FILE"); is {
					check.Env = append(check.Env, secret+"="+exampleSecrets[secret])
				}
			}
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%v %s\n%s", err, out, text)
			}
		})
	}
}

// exampleSecrets are what the files of the Secret could contain.
var exampleSecrets = map[string]string{
	"LOGINHUB_KEYS": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "LOGINHUB_REDIS_URL": "rediss://redis",
	"LOGINHUB_WECHAT_APP_SECRET": "s", "LOGINHUB_WECHAT_WEB_APP_SECRET": "s", "LOGINHUB_ADMIN_TOKEN": "0123456789abcdef0123456789abcdef",
}

// TestHelm_SameAsOverlay: production.yaml makes what the overlay makes.
func TestHelm_SameAsOverlay(t *testing.T) {
	chart, overlay := install(t, "production"), render(t, folders[1])
	set, want := chart.settings(t), overlay.settings(t)
	clients := overlay.file(t, "clients.yaml")["clients"]
	for _, settings := range []map[string]string{set, want} {
		delete(settings, "LOGINHUB_CLIENTS") // compared below
	}
	delete(set, "LOGINHUB_CONFIG") // the overlay has variables
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("settings: %s", diff)
	}
	if diff := cmp.Diff(clients, chart.file(t, "loginhub.yaml")["clients"]); diff != "" {
		t.Errorf("clients: %s", diff)
	}
	for _, kind := range overlay.kinds {
		switch kind {
		case "Namespace": // Helm does not make it: --create-namespace, and the label by hand
		case "ConfigMap": // compared above
		default:
			if diff := cmp.Diff(substance(t, overlay, kind), substance(t, chart, kind)); diff != "" {
				t.Errorf("%s: %s", kind, diff)
			}
		}
	}
}

// substance is an object without what differs between chart and overlay on purpose.
func substance(t *testing.T, m *manifests, kind string) any {
	t.Helper()
	// Decoded and encoded again, so that equal quantities are equal texts.
	text, err := json.Marshal(reflect.ValueOf(m).Elem().FieldByName(kind).Interface())
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	delete(object["metadata"].(map[string]any), "labels") // Helm's own beside the name's
	strip(object)
	return object
}

// strip removes what differs on purpose, at any depth.
func strip(at any) {
	switch at := at.(type) {
	case []any:
		for _, value := range at {
			strip(value)
		}
	case map[string]any:
		delete(at, "app.kubernetes.io/instance") // Helm can install twice into a namespace
		delete(at, "checksum/config")            // the overlay's ConfigMaps have the hash in their names
		delete(at, "imagePullPolicy")            // the chart names the default
		delete(at, "env")                        // compared as settings
		delete(at, "envFrom")
		for _, list := range []string{"volumes", "volumeMounts"} {
			named := map[any]any{} // in any order
			volumes, _ := at[list].([]any)
			for _, v := range volumes {
				named[v.(map[string]any)["name"]] = v
			}
			delete(named, "clients") // files with the settings
			delete(named, "config")
			if delete(at, list); volumes != nil {
				at[list+" by name"] = named
			}
		}
		for _, value := range at {
			strip(value)
		}
	}
}

// TestHelm_Extras: the objects that only the chart has fit the pods and the files that
// they come from.
func TestHelm_Extras(t *testing.T) {
	m := install(t, "everything")
	pod := m.Deployment.Spec.Template
	monitor := m.PodMonitor.Spec
	if port := pod.Spec.Containers[0].Ports[1].Name; *monitor.PodMetricsEndpoints[0].Port != port || !matches(monitor.Selector.MatchLabels, pod.Labels) {
		t.Errorf("the PodMonitor is %+v", monitor)
	}
	if pod.Annotations["prometheus.io/scrape"] != "" {
		t.Error("the pods are scraped twice")
	}
	text, err := os.ReadFile("../../prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(text, &rules); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules, m.PrometheusRule.Spec); diff != "" || len(rules.Groups) == 0 {
		t.Errorf("alerts: %s", diff)
	}
	if job := *monitor.PodMetricsEndpoints[0].RelabelConfigs[0].Replacement; !strings.Contains(string(text), `up{job="`+job+`"}`) {
		t.Errorf("no alert is for the job %q", job)
	}
	dashboard, err := os.ReadFile("../../grafana/loginhub.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.configs["loginhub-dashboard"].Data["loginhub.json"]; strings.TrimSpace(got) != strings.TrimSpace(string(dashboard)) {
		t.Errorf("the dashboard has %d bytes, not %d", len(got), len(dashboard))
	}
	pages := m.HorizontalPodAutoscaler.Spec.Metrics[0].Pods
	metrics, err := os.ReadFile("../../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(metrics), "| `"+pages.Metric.Name+"` | gauge |") || pages.Target.AverageValue.Value() != 900000 {
		t.Errorf("the autoscaler reads %+v", pages)
	}
	if probe := pod.Spec.Containers[0].ReadinessProbe.HTTPGet; probe.Scheme != "HTTPS" {
		t.Errorf("a pod with tls_cert is probed at %+v", probe)
	}
	rule := m.HTTPRoute.Spec.Rules[0]
	if b := rule.BackendRefs[0]; string(b.Name) != m.Service.Name || *b.Port != m.Service.Spec.Ports[0].Port || *rule.Timeouts.Request != "0s" || string(m.HTTPRoute.Spec.Hostnames[0]) != m.Ingress.Spec.Rules[0].Host {
		t.Errorf("the HTTPRoute is %+v", m.HTTPRoute.Spec)
	}
	for _, e := range pod.Spec.Containers[0].Env {
		if e.Name == "GOMEMLIMIT" && e.Value != "18432MiB" {
			t.Errorf("GOMEMLIMIT is %s", e.Value)
		}
	}
}

// TestHelm_Alone: the sandbox is one pod without anything else of the cluster, and what is
// left out leaves defaults.
func TestHelm_Alone(t *testing.T) {
	sandbox, least := install(t, "sandbox").Deployment.Spec, install(t, "least").Deployment.Spec
	if *sandbox.Replicas != 1 || sandbox.Strategy.Type != appsv1.RecreateDeploymentStrategyType || len(sandbox.Template.Spec.Volumes) != 1 {
		t.Errorf("the sandbox is %+v", sandbox)
	}
	if *least.Replicas != 3 || least.Template.Spec.ServiceAccountName != "default" {
		t.Errorf("the least is %+v", least)
	}
}

// TestHelm_Refuses: wrong values are refused before anything is installed, and the error
// says what to do.
func TestHelm_Refuses(t *testing.T) {
	production, err := os.ReadFile(chartFolder + "/production.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"no Secret":          {"secret: {name: loginhub}", "", "--set sandbox=true"},
		"no public URL":      {"  public_url: https://login.example.org\n", "", "config.public_url is empty"},
		"no proxies":         {"  trusted_proxies: [10.244.0.0/16]\n", "", "config.trusted_proxies is empty"},
		"no Gateway":         {"secret:", "gateway: {enabled: true}\nsecret:", "gateway.parentRefs is empty"},
		"misspelt value":     {"autoscaling:", "autoscalling:", "autoscalling"},
		"misspelt setting":   {"redis_wait:", "redis_wiat:", "redis_wiat"},
		"misspelt in client": {"origins:", "orgins:", "orgins"},
		"secret as a value":  {"  redis_wait: 1", "  keys: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "'keys' not allowed"},
		"another port":       {"  redis_wait: 1", "  listen: \":80\"", "'listen' not allowed"},
		"memory in bytes":    {"secret:", "resources: {limits: {memory: \"1073741824\"}}\nsecret:", "limits/memory"},
	} {
		t.Run(name, func(t *testing.T) {
			values := strings.Replace(string(production), c.old, c.new, 1)
			if values == string(production) {
				t.Fatalf("production.yaml has no %q", c.old)
			}
			if _, err := helmTemplate(t, chartFolder, values); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestHelm_Lint: `helm lint --strict` finds nothing but the missing icon.
func TestHelm_Lint(t *testing.T) {
	for name, is := range installs {
		result := lint.RunAll(chartFolder, readValues(t, is.values), "loginhub")
		for _, m := range result.Messages {
			if m.Severity > support.InfoSev || !strings.Contains(m.Err.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestHelm_Package: the package is the chart with the release's version, and nothing in it
// depends on when, where and by whom it was made.
func TestHelm_Package(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "loginhub-1.2.3.tgz")
	pack := exec.Command("sh", chartFolder+"/package.sh", "v1.2.3", dir)
	pack.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil || !packed.ModTime.IsZero() || packed.Name != "" {
		t.Fatalf("gzip header %+v: %v", packed.Header, err)
	}
	last := ""
	for entries := tar.NewReader(packed); ; {
		h, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil || h.Name < last || h.ModTime.Unix() != 1700000000 || h.Uid+h.Gid != 0 || h.Uname+h.Gname != "" || h.Mode&0o133 != 0 && h.Typeflag == tar.TypeReg {
			t.Fatalf("after %s: %+v: %v", last, h, err)
		}
		last = h.Name
	}
	folder, err := helmTemplate(t, chartFolder, installs["everything"].values)
	if err != nil {
		t.Fatal(err)
	}
	fromPackage, err := helmTemplate(t, path, installs["everything"].values)
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range folder {
		if want := strings.ReplaceAll(strings.ReplaceAll(text, "loginhub-0.0.0-dev", "loginhub-1.2.3"), "0.0.0-dev", "v1.2.3"); fromPackage[file] != want {
			t.Errorf("%s: %s", file, cmp.Diff(want, fromPackage[file]))
		}
	}
}
