{{/* The configuration of digestgate: the value config, and the keys that the chart sets. */}}
{{- define "digestgate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $full := include "digestgate.fullname" . -}}
{{- $namespace := include "digestgate.namespace" . -}}
{{- $admission := dict "mode" (include "digestgate.mode" .) "exemptNamespaces" (include "digestgate.exempt" . | fromJsonArray) -}}
{{- if eq .Values.tls.mode "selfManaged" -}}
{{- $names := concat (list (printf "%s.%s.svc" $full $namespace) (printf "%s.%s.svc.%s" $full $namespace .Values.clusterDomain)) .Values.tls.names -}}
{{- $_ := set $admission "tls" (dict "names" $names) -}}
{{- if .Values.webhook.enabled -}}{{- $_ := set $admission "webhookConfiguration" (include "digestgate.webhookName" .) -}}{{- end -}}
{{- else -}}
{{- $_ := set $admission "tls" (dict "certFile" "/etc/digestgate/tls/tls.crt" "keyFile" "/etc/digestgate/tls/tls.key") -}}
{{- end -}}
{{- $store := dict "url" "sqlite:///var/lib/digestgate/digestgate.db" -}}
{{- if eq .Values.store.type "redis" -}}
{{- $redis := .Values.store.redis -}}
{{- $store = dict "url" $redis.url "prefix" $redis.prefix "macKeyFile" (printf "/etc/digestgate/mac/%s" $redis.macKey.key) -}}
{{- if $redis.username -}}{{- $_ := set $store "username" $redis.username -}}{{- end -}}
{{- if $redis.existingSecret -}}{{- $_ := set $store "passwordFile" (printf "/etc/digestgate/redis/%s" $redis.passwordKey) -}}{{- end -}}
{{- if $redis.ca.existingSecret -}}{{- $_ := set $store "caFile" (printf "/etc/digestgate/redis-ca/%s" $redis.ca.key) -}}{{- end -}}
{{- end -}}
{{- $own := dict "dataDir" "/var/lib/digestgate" "store" $store "admission" $admission "listen" (dict "http" ":8080" "admission" ":8443" "private" ":9090") -}}
{{- $scan := dict "isolation" (dig "scan" "isolation" "strict" .Values.config) -}}
{{- $_ := set $own "scan" $scan -}}
{{- if .Values.adminToken.existingSecret -}}{{- $_ := set $own "auth" (dict "adminTokenFile" (printf "/etc/digestgate/admin/%s" .Values.adminToken.key)) -}}{{- end -}}
{{- if .Values.api.tls.existingSecret -}}
{{- $_ := set $own "http" (dict "tls" (dict "certFile" "/etc/digestgate/http-tls/tls.crt" "keyFile" "/etc/digestgate/http-tls/tls.key")) -}}
{{- end -}}
{{- if .Values.policies -}}{{- $_ := set $own "policy" (dict "paths" (list "/etc/digestgate/policies")) -}}{{- end -}}
{{- mergeOverwrite $config $own | toYaml -}}
{{- end -}}

{{/* Keys that a running process follows are left out: their change restarts nothing. */}}
{{- define "digestgate.configChecksum" -}}
{{- $config := include "digestgate.config" . | fromYaml -}}
{{- $config = omit $config "registries" -}}
{{- $_ := set $config "admission" (omit $config.admission "mode" "namespaces" "exemptNamespaces") -}}
{{- if $config.advisories -}}{{- $_ := set $config "advisories" (omit $config.advisories "vex") -}}{{- end -}}
{{- $config | toJson | sha256sum -}}
{{- end -}}
