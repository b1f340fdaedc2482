# Lesions of IDRiD overlap: one sigmoid a lesion instead of one label a pixel.
_base_ = './idrid.py'
model = dict(
    decode_head=dict(
        num_classes=4,
        multi_label=True,
        loss_decode=dict(_delete_=True, type='MultiLabelBCELoss'),
    )
)
train_dataloader = dict(dataset=dict(target='multilabel'))
val_dataloader = dict(dataset=dict(target='multilabel'))
test_dataloader = val_dataloader
