#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/convert.h"
#include "model/gguf.h"
#include "model/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct args {
	const char *tokenizer, *pooling, *prefix;
	size_t max_tokens;
};

static const struct opt opts[] = {
	{ 0, "tokenizer", "FILE", OPT_STR, offsetof(struct args, tokenizer),
	  "convert: tokenizer.json or vocab.txt (beside the ONNX file)" },
	{ 0, "pooling", "KIND", OPT_STR, offsetof(struct args, pooling),
	  "convert: cls or mean (as 1_Pooling/config.json beside it has it)" },
	{ 0, "prefix", "TEXT", OPT_STR, offsetof(struct args, prefix),
	  "convert: what stands before each query" },
	{ 0, "max-tokens", "N", OPT_SIZE, offsetof(struct args, max_tokens),
	  "convert: tokens of a text at most (as many as there are positions)" },
};

static bool is_file(const char *dir, const char *name, uint64_t *size)
{
	struct buf path = BUF_INIT;
	struct stat st;
	bool there = !buf_addf(&path, "%s/%s", dir, name) && !stat(buf_str(&path), &st) &&
		     S_ISREG(st.st_mode);

	if (there)
		*size = (uint64_t)st.st_size;
	buf_release(&path);
	return there;
}

static int models_dir(struct buf *out, const struct cli *c)
{
	return c->models ? buf_adds(out, c->models) : conf_models(out);
}

static int list(struct cli *c)
{
	struct buf dir = BUF_INIT, path = BUF_INIT;
	struct dirent **entry;
	int rc = models_dir(&dir, c), n, found = 0;
	uint64_t size;
	char bytes[16];

	if (rc)
		return cli_fail(rc);
	n = scandir(buf_str(&dir), &entry, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		const char *name = entry[i]->d_name, *kind = NULL;

		buf_clear(&path);
		if (name[0] != '.' && !buf_addf(&path, "%s/%s", buf_str(&dir), name)) {
			if (is_file(buf_str(&path), "model.gguf", &size))
				kind = "generator";
			else if (is_file(buf_str(&path), "model.safetensors", &size))
				kind = "embedder";
		}
		if (kind) {
			found++;
			if (c->json)	/* a directory's name is checked to need no escapes by its use as a model name */
				printf("{\"name\": \"%s\", \"kind\": \"%s\", \"bytes\": %llu}\n", name,
				       kind, (unsigned long long)size);
			else
				printf("%-30s %-10s %9s\n", name, kind, cli_bytes(bytes, size));
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	if (!found && !c->quiet)
		fprintf(stderr, "no models in '%s'\n", buf_str(&dir));
	buf_release(&dir);
	buf_release(&path);
	return found ? CLI_OK : CLI_NOTHING;
}

static void print_tensor(const struct tensor *t)
{
	printf("  %-44s %-5s", t->name, dtype_name((int)t->type));
	for (int i = 0; i < t->n_dims; i++)
		printf("%s%llu", i ? " x " : " ", (unsigned long long)t->ne[i]);
	putchar('\n');
}

static int inspect_gguf(const char *path)
{
	struct gguf *g;
	struct gguf_str key, s;
	double f;
	uint64_t u;
	bool b;
	int rc = gguf_open(&g, path);

	if (rc)
		return rc;
	for (size_t i = 0; i < gguf_n_keys(g); i++) {
		char name[256];

		key = gguf_key_at(g, i);
		snprintf(name, sizeof(name), "%.*s", (int)key.len, key.s);
		printf("%-44s ", name);
		if (gguf_get_str(&s, g, name))
			printf("%.*s%s\n", s.len > 60 ? 60 : (int)s.len, s.s, s.len > 60 ? "..." : "");
		else if (gguf_get_u64(&u, g, name))
			printf("%llu\n", (unsigned long long)u);
		else if (gguf_get_f64(&f, g, name))
			printf("%g\n", f);
		else if (gguf_get_bool(&b, g, name))
			printf("%s\n", b ? "true" : "false");
		else
			printf("[%zu]\n", gguf_arr_len(g, name));
	}
	printf("\n%zu tensors\n", gguf_n_tensors(g));
	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		print_tensor(gguf_tensor_at(g, i));
	gguf_close(g);
	return RAG_OK;
}

static int inspect_safetensors(const char *path)
{
	struct safetensors *s;
	int rc = safetensors_open(&s, path);

	if (rc)
		return rc;
	printf("%zu tensors\n", safetensors_n(s));
	for (size_t i = 0; i < safetensors_n(s); i++)
		print_tensor(safetensors_at(s, i));
	safetensors_close(s);
	return RAG_OK;
}

static int inspect(struct cli *c, const char *name)
{
	struct buf path = BUF_INIT;
	size_t n;
	uint64_t size;
	int rc = conf_model(&path, name, c->models);

	if (!rc && is_file(buf_str(&path), "model.gguf", &size))
		rc = buf_adds(&path, "/model.gguf");
	else if (!rc && is_file(buf_str(&path), "model.safetensors", &size))
		rc = buf_adds(&path, "/model.safetensors");
	if (!rc) {
		const char *p = buf_str(&path);

		n = path.len;
		rc = n > 12 && !strcmp(p + n - 12, ".safetensors") ? inspect_safetensors(p)
								   : inspect_gguf(p);
	}
	buf_release(&path);
	return rc ? cli_fail(rc) : CLI_OK;
}

static int convert(const struct cli *c, const struct args *a, const char *in, const char *dir)
{
	struct convert_opts o = { a->tokenizer, a->pooling, a->prefix, a->max_tokens };
	struct convert_result r;
	int rc = convert_model(&r, dir, in, &o);

	if (!rc && !c->quiet) {
		fprintf(stderr, "%s: BERT, %zu layers of %zu, %zu heads, %zu tokens; pooling %s, query prefix \"%s\"\n",
			dir, r.shape.layers, r.shape.hidden, r.shape.heads, r.shape.vocab, r.pooling, r.prefix);
		if (r.family)
			fprintf(stderr, "pooling or prefix are those of models named %s: --pooling and --prefix say others\n",
				r.family);
	}
	convert_result_release(&r);
	return rc ? cli_fail(rc) : CLI_OK;
}

/* What is fetched may have to be converted: by this very program. */
static int pull(int n, char **names)
{
	struct buf path = BUF_INIT;
	char self[PATH_MAX], converter[] = "--converter", **args = mem_calloc((size_t)n + 4, sizeof(*args));
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	pid_t pid;
	int rc = args ? conf_helper(&path, "fetch-model") : RAG_ENOMEM, status, k = 1;

	if (rc) {
		rc = cli_fail(rc);
		goto fail;
	}
	args[0] = path.data;
	if (len > 0) {
		self[len] = 0;
		args[k++] = converter;
		args[k++] = self;
	}
	memcpy(args + k, names, (size_t)n * sizeof(*args));
	rc = posix_spawn(&pid, path.data, NULL, NULL, args, environ);
	if (rc)
		rc = cli_usage("cannot start '%s': %s", path.data, strerror(rc));
	else if (waitpid(pid, &status, 0) < 0)
		rc = cli_usage("cannot wait for '%s': %s", path.data, strerror(errno));
	else
		rc = WIFEXITED(status) ? WEXITSTATUS(status) ? CLI_FAIL : CLI_OK : CLI_INTERRUPTED;
fail:
	mem_free(args);
	buf_release(&path);
	return rc;
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;

	if (!strcmp(argv[0], "list") && argc == 1)
		return list(c);
	if (!strcmp(argv[0], "inspect") && argc == 2)
		return inspect(c, argv[1]);
	if (!strcmp(argv[0], "pull") && argc >= 2)
		return pull(argc - 1, argv + 1);
	if (!strcmp(argv[0], "convert") && argc == 3)
		return convert(c, a, argv[1], argv[2]);
	return cli_usage("usage: ragstone model list | inspect MODEL | pull NAME... | convert IN OUT-DIR");
}

const struct command cmd_model = {
	"model", "list | inspect MODEL | pull NAME... | convert IN OUT-DIR",
	"list, look into, fetch and convert models",
	"list: what is in the models' directory.  inspect: metadata and tensors of a GGUF or\n"
	"safetensors file.  pull: fetches known weights, checked by their SHA-256.\n"
	"convert: a BERT embedder from an ONNX or GGUF file, what it lacks from beside it.",
	opts, N_OPTS(opts), sizeof(struct args), 1, -1, run,
};
