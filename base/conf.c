#include "config.h"
#include "base/conf.h"

#include "base/err.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *conf_env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* $env, else $xdg/tail, else $HOME/home_tail. */
static int place(struct buf *out, const char *env, const char *xdg, const char *home_dir,
		 const char *tail)
{
	const char *v = conf_env(env);

	buf_clear(out);
	if (v)
		return buf_adds(out, v);
	v = conf_env(xdg);
	if (v && v[0] == '/')	/* the XDG specification says: ignore relative ones */
		return buf_addf(out, "%s/%s", v, tail);
	v = conf_env("HOME");
	if (!v)
		return err_set(RAG_ENOENT, "neither $%s nor $HOME is set", env);
	return buf_addf(out, "%s/%s/%s", v, home_dir, tail);
}

int conf_store(struct buf *out)
{
	return place(out, "RAGSTONE_STORE", "XDG_DATA_HOME", ".local/share", "ragstone/default");
}

int conf_cache(struct buf *out)
{
	return place(out, "RAGSTONE_CACHE", "XDG_CACHE_HOME", ".cache", "ragstone");
}

int conf_models(struct buf *out)
{
	int rc = conf_cache(out);

	return rc ? rc : buf_adds(out, "/models");
}

int conf_model(struct buf *out, const char *name, const char *models)
{
	int rc;

	if (!*name)
		return err_set(RAG_EINVAL, "empty model name");
	if (strchr(name, '/')) {
		buf_clear(out);
		rc = buf_adds(out, name);
		if (!rc && access(name, F_OK))
			rc = err_set(RAG_ENOENT, "no such model: '%s'", name);
		return rc;
	}
	if (models) {
		buf_clear(out);
		rc = buf_adds(out, models);
	} else {
		rc = conf_models(out);
	}
	if (!rc)
		rc = buf_addf(out, "/%s", name);
	if (rc)
		return rc;
	if (!access(out->data, F_OK))
		return RAG_OK;
	if (!access(name, F_OK)) {
		buf_clear(out);
		return buf_adds(out, name);
	}
	return err_set(RAG_ENOENT, "no model '%s' in '%.*s'; 'ragstone model pull %s' fetches the known ones",
		       name, (int)(out->len - strlen(name) - 1), out->data, name);
}

int conf_helper(struct buf *out, const char *name)
{
	static const char *const beside[] = { "", "/..", "/src" };
	char self[PATH_MAX];
	ssize_t n;
	int rc;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = 0;
		*strrchr(self, '/') = 0;
		/* Installed or built side by side; libtool runs programs out of .libs/. */
		for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
			buf_clear(out);
			rc = buf_addf(out, "%s%s/%s", self, beside[i], name);
			if (rc || !access(out->data, X_OK))
				return rc;
		}
	}
	buf_clear(out);
	rc = buf_addf(out, "%s/%s", RAGSTONE_LIBEXECDIR, name);
	if (!rc && access(out->data, X_OK))
		rc = err_set(RAG_ENOENT, "'%s' is missing", out->data);
	return rc;
}

int conf_extract(struct buf *out)
{
	const char *v = conf_env("RAGSTONE_EXTRACT");

	buf_clear(out);
	return v ? buf_adds(out, v) : conf_helper(out, "ragstone-extract");
}
