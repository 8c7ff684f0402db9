#!/usr/bin/env bash
# Builds the native binding of @tensorflow/tfjs-node-gpu from package registries alone: the TensorFlow library comes with
# its Python wheel, Node's headers with npm's node-api-headers. Needs g++ and python3 with pip.
#
#   scripts/build-native.sh cpu     TensorFlow for CPUs, about 230 MB to download
#   scripts/build-native.sh cuda    TensorFlow with CUDA and cuDNN, several GB
#
# The library goes to .native/<kind>/ in the repository's root, which git ignores and `npm ci` leaves alone; the binding
# goes into node_modules, which `npm ci` wipes: run this again after it. The wheel's folder layout is kept, because the
# library finds NVIDIA's libraries by paths relative to itself.
set -euo pipefail

kind=${1:-cpu}
version=2.18.1
cd "$(dirname "$0")/../../.."
package=node_modules/@tensorflow/tfjs-node-gpu
folder=.native/$kind

case $kind in
  cpu) wheels=("tensorflow-cpu==$version") ;;
  cuda)
    wheels=(
      "tensorflow==$version"
      nvidia-cublas-cu12==12.5.3.2 nvidia-cuda-cupti-cu12==12.5.82 nvidia-cuda-nvcc-cu12==12.5.82
      nvidia-cuda-nvrtc-cu12==12.5.82 nvidia-cuda-runtime-cu12==12.5.82 nvidia-cudnn-cu12==9.3.0.75
      nvidia-cufft-cu12==11.2.3.61 nvidia-curand-cu12==10.3.6.82 nvidia-cusolver-cu12==11.6.3.83
      nvidia-cusparse-cu12==12.5.1.3 nvidia-nccl-cu12==2.21.5 nvidia-nvjitlink-cu12==12.5.82
    )
    ;;
  *)
    echo "build-native.sh: the kind is cpu or cuda, not $kind" >&2
    exit 2
    ;;
esac
for tool in g++ python3; do
  command -v "$tool" >/dev/null || { echo "build-native.sh: $tool is not installed" >&2; exit 1; }
done
[ -d "$package" ] || { echo "build-native.sh: $package is not installed (it is an optional dependency)" >&2; exit 1; }

library=$folder/tensorflow
if [ ! -f "$library/libtensorflow_cc.so.2" ]; then
  # TensorFlow 2.18 has wheels for Python 3.9 to 3.12; the library is the same in each, so that any Python may fetch it.
  python3 -m pip install --quiet --no-deps --no-compile --only-binary=:all: --python-version 3.11 --target "$folder" "${wheels[@]}"
fi
ln -sfn libtensorflow_cc.so.2 "$library/libtensorflow.so"
ln -sfn libtensorflow_framework.so.2 "$library/libtensorflow_framework.so"

mkdir -p "$package/deps" "$package/lib/napi-v8"
ln -sfn "../../../../$library" "$package/deps/lib"
ln -sfn "../../../../$library/include" "$package/deps/include"

# The binding lends the memory of JavaScript's arrays to TensorFlow, and gives it back from whichever thread of
# TensorFlow lets go of a tensor last: now and then that corrupts the heap. Ours copies the array instead.
sources=$folder/binding
rm -rf "$sources"
cp -R "$package/binding" "$sources"
python3 - "$sources/tfjs_backend.cc" <<'PATCH'
import sys

path = sys.argv[1]
with open(path) as file:
    text = file.read()
lends = """TF_AutoTensor tensor(TF_NewTensor(dtype, shape, shape_length, array_data,
                                    byte_size, DeallocTensor, auto_ref));"""
copies = """TF_AutoTensor tensor(
      TF_AllocateTensor(dtype, shape, shape_length, byte_size));
  memcpy(TF_TensorData(tensor.tensor), array_data, byte_size);
  DeallocTensor(array_data, byte_size, auto_ref);
  auto_ref = nullptr;"""
if text.count(lends) != 1:
    sys.exit("build-native.sh: the binding's source is not the one that this script knows")
with open(path, "w") as file:
    file.write(text.replace(lends, copies))
PATCH

g++ -O2 -std=c++17 -shared -fPIC -DNAPI_VERSION=8 \
  -Inode_modules/node-api-headers/include "-I$package/deps/include" "-I$package/.." \
  "$sources/tfjs_backend.cc" "$sources/tfjs_binding.cc" \
  "-L$package/deps/lib" -ltensorflow -ltensorflow_framework '-Wl,-rpath,$ORIGIN/../../deps/lib' \
  -o "$package/lib/napi-v8/tfjs_binding.node"
echo "built the native binding ($kind, TensorFlow $version)"
