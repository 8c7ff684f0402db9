"""A small PyTorch network on the run's dataset."""

import io

import millrace_trainer
import onnx
import torch

data = millrace_trainer.load()
torch.manual_seed(data.seed)
prepare = data.prepare(numbers="standardize", strings="one_hot")
rows, labels = torch.from_numpy(prepare(data.train.features)), torch.from_numpy(data.train.label).float()[:, None]
network = torch.nn.Sequential(torch.nn.Linear(prepare.width, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
is_binary = data.task == "BINARY"
loss_of = torch.nn.BCEWithLogitsLoss() if is_binary else torch.nn.MSELoss()
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
for epoch in range(1, 11):
    total = 0.0
    for batch in torch.randperm(len(rows)).split(512):
        optimizer.zero_grad()
        loss = loss_of(network(rows[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    data.report(epoch, loss=total / len(rows))
file = io.BytesIO()
torch.onnx.export(
    network.eval(),
    (rows[:1],),
    file,
    input_names=["matrix"],
    output_names=["answer"],
    dynamic_axes={"matrix": {0: "rows"}, "answer": {0: "rows"}},
    dynamo=False,
)
data.save(onnx.load_from_string(file.getvalue()), prepare, output_is="logit" if is_binary else "estimate")
