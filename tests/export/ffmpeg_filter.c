/* What FFmpeg's filters do with a TensorFlow graph, call by call: import it, find input
 * and output by their names, ask for the input's shape, which must have four axes and a
 * batch of 1 or any, feed one float image, and read the size off the output.
 *
 * ffmpeg_filter GRAPH INPUT OUTPUT HEIGHT WIDTH < floats > floats
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>

static void release(void *data, size_t length) { free(data); }

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s: %s\n", what, TF_Message(status));
    exit(1);
  }
}

static TF_Buffer *read_graph(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) exit(2);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  TF_Buffer *buffer = TF_NewBuffer();
  void *data = malloc(size);
  if (fread(data, 1, size, file) != (size_t)size) exit(2);
  fclose(file);
  buffer->data = data;
  buffer->length = size;
  buffer->data_deallocator = release;
  return buffer;
}

static TF_Output find(TF_Graph *graph, const char *name) {
  TF_Output found = {TF_GraphOperationByName(graph, name), 0};
  if (!found.oper) {
    fprintf(stderr, "no %s\n", name);
    exit(3);
  }
  return found;
}

int main(int count, char **arguments) {
  if (count != 6) return 2;
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_ImportGraphDefOptions *how = TF_NewImportGraphDefOptions();
  TF_GraphImportGraphDef(graph, read_graph(arguments[1]), how, status);
  check(status, "import");
  TF_Session *session = TF_NewSession(graph, TF_NewSessionOptions(), status);
  check(status, "session");

  TF_Output input = find(graph, arguments[2]), output = find(graph, arguments[3]);
  int64_t shape[4];
  TF_GraphGetTensorShape(graph, input, shape, 4, status);
  check(status, "shape of the input");
  int64_t size[] = {1, atoi(arguments[4]), atoi(arguments[5]), 3};
  for (int axis = 0; axis < 4; ++axis)
    if (shape[axis] != -1 && shape[axis] != size[axis]) return 4;
  if (TF_OperationOutputType(input) != TF_FLOAT || shape[3] != 3) return 5;

  size_t bytes = size[1] * size[2] * 3 * sizeof(float);
  TF_Tensor *image = TF_AllocateTensor(TF_FLOAT, size, 4, bytes), *made = NULL;
  if (fread(TF_TensorData(image), 1, bytes, stdin) != bytes) return 6;
  TF_SessionRun(session, NULL, &input, &image, 1, &output, &made, 1, NULL, 0, NULL,
                status);
  check(status, "run");
  if (TF_TensorType(made) != TF_FLOAT || TF_NumDims(made) != 4) return 7;
  if (TF_Dim(made, 1) != size[1] || TF_Dim(made, 2) != size[2]) return 8;
  fwrite(TF_TensorData(made), 1, TF_TensorByteSize(made), stdout);
  return 0;
}
