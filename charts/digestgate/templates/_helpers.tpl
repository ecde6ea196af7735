{{- define "digestgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything; 40 characters leave room for "-admission" and the like. */}}
{{- define "digestgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "digestgate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "digestgate.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "digestgate.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Objects of the whole cluster carry the namespace, so that two releases do not share one. */}}
{{- define "digestgate.clusterName" -}}
{{- $name := include "digestgate.fullname" . -}}
{{- $namespace := include "digestgate.namespace" . -}}
{{- if eq $name $namespace -}}{{- $name -}}{{- else -}}{{- printf "%s-%s" $namespace $name | trunc 63 | trimSuffix "-" -}}{{- end -}}
{{- end -}}

{{- define "digestgate.selector" -}}
app.kubernetes.io/name: {{ include "digestgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "digestgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "digestgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: digestgate
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "digestgate.image" -}}
{{- $registry := .Values.image.registry -}}
{{- with .Values.global -}}{{- with .image -}}{{- with .registry -}}{{- $registry = . -}}{{- end -}}{{- end -}}{{- end -}}
{{- $name := .Values.image.repository -}}
{{- if $registry -}}{{- $name = printf "%s/%s" $registry .Values.image.repository -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The components of this release, separated by spaces. An SQLite store belongs to one process. */}}
{{- define "digestgate.components" -}}
{{- if eq .Values.store.type "sqlite" -}}all{{- else -}}admission api worker scheduler{{- end -}}
{{- end -}}

{{/* The component that answers reviews, and the one that has the API. */}}
{{- define "digestgate.door" -}}
{{- if eq .Values.store.type "sqlite" -}}all{{- else -}}admission{{- end -}}
{{- end -}}
{{- define "digestgate.apiComponent" -}}
{{- if eq .Values.store.type "sqlite" -}}all{{- else -}}api{{- end -}}
{{- end -}}

{{/* Only the component that answers reviews talks to the Kubernetes API. */}}
{{- define "digestgate.doorServiceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{- default (include "digestgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}{{- default "default" .Values.serviceAccount.name -}}{{- end -}}
{{- end -}}
{{- define "digestgate.worksServiceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{- printf "%s-works" (default (include "digestgate.fullname" .) .Values.serviceAccount.name) -}}
{{- else -}}{{- default "default" .Values.serviceAccount.name -}}{{- end -}}
{{- end -}}

{{- define "digestgate.mode" -}}
{{- dig "admission" "mode" "audit" .Values.config -}}
{{- end -}}

{{/* audit and warn must not stop a Pod when the gate does not answer; enforce must. */}}
{{- define "digestgate.failurePolicy" -}}
{{- if .Values.webhook.failurePolicy -}}{{- .Values.webhook.failurePolicy -}}
{{- else if eq (include "digestgate.mode" .) "enforce" -}}Fail
{{- else -}}Ignore{{- end -}}
{{- end -}}

{{/* The namespaces that are not judged: the same list in the webhook and in the configuration. */}}
{{- define "digestgate.exempt" -}}
{{- $list := dig "admission" "exemptNamespaces" (list "kube-system") .Values.config -}}
{{- concat (list "kube-system" (include "digestgate.namespace" .)) $list | uniq | toJson -}}
{{- end -}}

{{/* The namespaces with a mode of their own that asks for another failurePolicy than the rest. */}}
{{- define "digestgate.differing" -}}
{{- $list := list -}}
{{- if not .Values.webhook.failurePolicy -}}
{{- $enforced := eq (include "digestgate.mode" .) "enforce" -}}
{{- range $name, $namespace := dig "admission" "namespaces" (dict) .Values.config -}}
{{- if ne $enforced (eq $namespace.mode "enforce") -}}{{- $list = append $list $name -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $list | sortAlpha | toJson -}}
{{- end -}}

{{- define "digestgate.webhookName" -}}
{{- default (include "digestgate.clusterName" .) .Values.webhook.name -}}
{{- end -}}

{{- define "digestgate.macKeySecret" -}}
{{- default (printf "%s-mac" (include "digestgate.fullname" .)) .Values.store.redis.macKey.existingSecret -}}
{{- end -}}

{{- define "digestgate.tlsSecret" -}}
{{- if eq .Values.tls.mode "existing" -}}{{- .Values.tls.existingSecret -}}{{- else -}}{{- printf "%s-tls" (include "digestgate.fullname" .) -}}{{- end -}}
{{- end -}}

{{/* What does not fit together ends the rendering with a sentence. */}}
{{- define "digestgate.validate" -}}
{{- if and (eq .Values.store.type "redis") (not .Values.store.redis.url) -}}
{{- fail "store.redis.url: empty; name a Redis, such as redis://redis.example:6379/0, or set store.type: sqlite" -}}
{{- end -}}
{{- if and (eq .Values.tls.mode "existing") (or (not .Values.tls.existingSecret) (not .Values.tls.caBundle)) -}}
{{- fail "tls.mode: existing needs tls.existingSecret (a Secret of type kubernetes.io/tls) and tls.caBundle (the PEM of the authority that signed it)" -}}
{{- end -}}
{{- range list "dataDir" "listen" "roles" "store" "kubernetes" -}}
{{- if hasKey $.Values.config . -}}
{{- fail (printf "config.%s: the chart sets this key itself; see the values store, tls, api and admission" .) -}}
{{- end -}}
{{- end -}}
{{- if hasKey (dig "admission" (dict) .Values.config) "tls" -}}
{{- fail "config.admission.tls: the chart sets this key itself; see the value tls" -}}
{{- end -}}
{{- if hasKey (dig "auth" (dict) .Values.config) "adminTokenFile" -}}
{{- fail "config.auth.adminTokenFile: the chart sets this key itself; see the value adminToken" -}}
{{- end -}}
{{- if and .Values.worker.keda.enabled .Values.worker.autoscaling.enabled -}}
{{- fail "worker.keda.enabled and worker.autoscaling.enabled: both would set the number of workers; enable one" -}}
{{- end -}}
{{- if and .Values.worker.keda.enabled (not .Values.worker.keda.serverAddress) -}}
{{- fail "worker.keda.serverAddress: empty; name the Prometheus that scrapes digestgate, such as http://prometheus.monitoring:9090" -}}
{{- end -}}
{{- if and .Values.api.ingress.enabled (not .Values.api.ingress.host) -}}
{{- fail "api.ingress.host: empty; name the host under which registries and people reach digestgate" -}}
{{- end -}}
{{- end -}}
